"""Searches in lock-step: what the same search costs with a barrier per depth over all problems.

That is how search is usually built: all problems generate one step, then all new steps are scored
in one batch, and nothing goes on before the last of either has ended. Here every call of a search
waits until each problem that is still searched waits, too; then all generations are done, then all
scorings, and only then does anybody get an answer. Results are the same; only the clock differs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from prm_search.budget import Budget
from prm_search.protocols import Generator as Policy
from prm_search.protocols import Grader, Scorer, SearchAlgorithm, Until
from prm_search.types import Generation, Problem, Scoring, SearchResult, Trajectory

QUIET_SECONDS = 0.005
"""How long nobody must have asked for anything more before a round begins."""


@dataclass(kw_only=True, eq=False)
class Call:
    """A request that waits for its round."""

    is_scoring: bool
    run: Callable[[], Awaitable[Any]]
    answer: asyncio.Future[Any]


@dataclass(eq=False)
class Barrier:
    """Holds the calls of all problems until each problem has made one."""

    num_rounds: int = 0
    """Rounds so far."""
    _searched: set[str] = field(default_factory=set[str])
    _waiting: set[str] = field(default_factory=set[str])
    """Those of the searched problems that have made a call."""
    _calls: list[Call] = field(default_factory=list[Call])
    _timer: asyncio.TimerHandle | None = None
    _round: asyncio.Task[None] | None = None

    @contextmanager
    def waits_for(self, problem: str) -> Generator[None, None, None]:
        """While a problem is searched, no round begins without it."""
        self._searched.add(problem)
        try:
            yield
        finally:
            self._searched.discard(problem)
            self._waiting.discard(problem)
            self._look()

    async def call(
        self, problem: str, run: Callable[[], Awaitable[Any]], *, is_scoring: bool
    ) -> Any:
        """What a call gives, at the end of the next round."""
        answer = asyncio.get_running_loop().create_future()
        self._waiting.add(problem)
        self._calls.append(Call(is_scoring=is_scoring, run=run, answer=answer))
        self._look()
        return await answer

    def _look(self) -> None:
        """Begin a round soon, if everybody waits and nothing changes until then."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        is_free = self._round is None or self._round.done()
        if is_free and self._calls and len(self._waiting) == len(self._searched):
            self._timer = asyncio.get_running_loop().call_later(QUIET_SECONDS, self._begin)

    def _begin(self) -> None:
        self._round = asyncio.create_task(self._run())

    async def _run(self) -> None:
        calls, self._calls = self._calls, []
        self._waiting.clear()
        self.num_rounds += 1
        done: list[tuple[Call, Any]] = []
        for is_scoring in (False, True):
            batch = [call for call in calls if call.is_scoring is is_scoring]
            answers = await asyncio.gather(*(call.run() for call in batch), return_exceptions=True)
            done += zip(batch, answers, strict=True)
        # From here on the searches go on; what they ask for belongs to the next round.
        self._round = None
        for call, answer in done:
            if call.answer.done():
                continue
            if isinstance(answer, BaseException):
                call.answer.set_exception(answer)
            else:
                call.answer.set_result(answer)
        self._look()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Generator:
    generator: Policy
    barrier: Barrier

    async def generate(
        self,
        prefix: Trajectory,
        *,
        num_samples: int,
        until: Until,
        seed: int,
        temperature: float | None = None,
    ) -> Generation:
        def run() -> Awaitable[Generation]:
            return self.generator.generate(
                prefix, num_samples=num_samples, until=until, seed=seed, temperature=temperature
            )

        return await self.barrier.call(prefix.problem.id, run, is_scoring=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Scorer:
    scorer: Scorer
    barrier: Barrier

    async def score(self, trajectories: Sequence[Trajectory]) -> Scoring:
        def run() -> Awaitable[Scoring]:
            return self.scorer.score(trajectories)

        return await self.barrier.call(trajectories[0].problem.id, run, is_scoring=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class LockStep:
    """A search that waits for those of all other problems at each of its calls."""

    algorithm: SearchAlgorithm
    barrier: Barrier = field(default_factory=Barrier)

    async def __call__(
        self,
        problem: Problem,
        *,
        generator: Policy,
        scorer: Scorer | None,
        grader: Grader,
        budget: Budget,
        seed: int,
    ) -> SearchResult:
        """Search for a solution; see `prm_search.protocols.SearchAlgorithm`."""
        with self.barrier.waits_for(problem.id):
            return await self.algorithm(
                problem,
                generator=_Generator(generator=generator, barrier=self.barrier),
                scorer=scorer and _Scorer(scorer=scorer, barrier=self.barrier),
                grader=grader,
                budget=budget,
                seed=seed,
            )
