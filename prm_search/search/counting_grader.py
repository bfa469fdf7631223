"""A grader whose comparisons are counted, for the account of a search."""

from __future__ import annotations

from prm_search.protocols import Grader


class CountingGrader:
    """Does what another grader does, and counts the comparisons."""

    def __init__(self, grader: Grader) -> None:
        self._grader = grader
        self.num_calls = 0

    def extract(self, solution: str) -> str | None:
        """The final answer in a solution, or None if there is none."""
        return self._grader.extract(solution)

    async def equivalent(self, first: str, second: str) -> bool:
        """Whether two answers are equivalent; see `prm_search.protocols.Grader`."""
        self.num_calls += 1
        return await self._grader.equivalent(first, second)
