"""Scores of steps, each computed once, however many trajectories share the prefix that it ends."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Protocol

from actors.score_cache import ScoreCache
from prm_search.concurrency import gather_all
from prm_search.errors import ContextLengthError, EmptyStepError, ScoringError
from prm_search.prms.rendering import RenderedSolution, Renderer
from prm_search.types import Failure, Scoring, StepScores, Trajectory, Usage


class Compute(Protocol):
    """Asks a model."""

    async def __call__(
        self, solution: RenderedSolution, keys: Sequence[bytes]
    ) -> tuple[Mapping[bytes, float], Usage]:
        """The scores of some steps, in the order of the keys, and what they cost.

        Args:
            solution: whose steps they are.
            keys: of the steps, in their order.
        """
        ...


class StepScoring:
    """What scorers of every engine do around their model: render, remember, account."""

    def __init__(
        self, renderer: Renderer, compute: Compute, *, max_model_len: int, reuse_prefixes: bool
    ) -> None:
        """Begin with nothing known.

        Args:
            renderer: of the PRM.
            compute: asks the model.
            max_model_len: tokens that the model takes.
            reuse_prefixes: whether scores of earlier steps are kept.
        """
        self.renderer = renderer
        self._compute = compute
        self._max_model_len = max_model_len
        self._scores = ScoreCache() if reuse_prefixes else None

    async def __call__(self, trajectories: Sequence[Trajectory]) -> Scoring:
        """Score every step of each trajectory; see `prm_search.protocols.Scorer`."""
        scored = await gather_all(map(self._score, trajectories))
        return Scoring(
            scores=tuple(scores for scores, _ in scored),
            usage=sum((usage for _, usage in scored), start=Usage()),
        )

    def clear(self) -> None:
        """Forget all scores."""
        if self._scores is not None:
            self._scores.clear()

    async def _score(self, trajectory: Trajectory) -> tuple[StepScores | Failure, Usage]:
        started = time.perf_counter()
        usage = Usage()
        num_tokens = 0

        async def values_of(solution: RenderedSolution) -> list[float]:
            async def compute(keys: Sequence[bytes]) -> Mapping[bytes, float]:
                nonlocal usage
                if not keys:
                    return {}
                scores, spent = await self._compute(solution, keys)
                usage += spent
                return scores

            if self._scores is not None:
                return await self._scores.get(solution.keys, compute)
            return list((await compute(solution.keys)).values())

        try:
            solutions = self.render(trajectory)
            num_tokens = sum(
                solution.positions[-1] + 1 for solution in solutions if solution.positions
            )
            if len(solutions) == 1:  # as almost always; a task of its own would cost time
                scores = StepScores(values=tuple(await values_of(solutions[0])))
            else:
                values = await gather_all(map(values_of, solutions))
                scores = StepScores(values=tuple(chain.from_iterable(values)))
        except (ContextLengthError, EmptyStepError, ScoringError) as error:
            scores = Failure.of(error)
        # What another request computed, now or earlier, is as cached as what the engine remembers.
        cached = max(0, num_tokens - usage.scored_tokens)
        return scores, replace(
            usage,
            prompt_tokens=usage.scored_tokens + cached,
            cached_tokens=cached,
            seconds=time.perf_counter() - started,
        )

    def render(self, trajectory: Trajectory) -> tuple[RenderedSolution, ...]:
        """What the model reads.

        Raises:
            ContextLengthError: if it is too long.
            EmptyStepError: if a step has no content.
        """
        solutions = self.renderer(
            trajectory.problem.prompt, [step.text for step in trajectory.steps]
        )
        longest = max((len(solution.token_ids) for solution in solutions), default=0)
        if longest > self._max_model_len:
            raise ContextLengthError(longest, self._max_model_len, "solution to be scored")
        return solutions
