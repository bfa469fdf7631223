"""Controllers: each works on problems, many at the same time, wherever it runs.

A controller is an engine like the models: made from what can be pickled, then started. So a
cluster can run several of them side by side, each with a grader of its own, all with the same
models. Whoever hands them the problems alone writes the records: a controller, an engine or a
machine that is lost takes no record with it, its problems are given to others.
"""

from __future__ import annotations

from typing import Protocol

from prm_search.grading import GraderSettings, MathGrader
from prm_search.protocols import Grader
from prm_search.types import Problem


class Controller(Protocol):
    """What works on a problem, here or in another process."""

    async def record(self, problem: Problem, method: str) -> dict[str, object]:
        """Do the work, and give the record, without the time when it was made.

        Args:
            problem: to work on.
            method: how; its name in the records.

        Raises:
            ConfigurationError: if it cannot be done for any problem.
            EngineError: if an engine failed, or this controller.
        """
        ...


class MakeController(Protocol):
    """Makes a controller."""

    def __call__(self, *, grader: Grader) -> Controller:
        """The models run already, and stay whoever's they are."""
        ...


class ControllerEngine:
    """A controller that has a grader of its own."""

    def __init__(self, make: MakeController, *, grader: GraderSettings) -> None:
        self._grader = MathGrader(grader)
        self._controller = make(grader=self._grader)

    async def start(self) -> None:
        """Nothing: the grader starts when it is first needed."""

    async def reset_cache(self) -> None:
        """Nothing: what it remembers does not change what anything costs."""

    async def record(self, problem: Problem, method: str) -> dict[str, object]:
        """Work on a problem; see `Controller`."""
        return await self._controller.record(problem, method)

    async def close(self) -> None:
        """End the grader's processes."""
        self._grader.close()
