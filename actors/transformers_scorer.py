"""A PRM run by transformers. It computes every solution from its beginning."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from itertools import chain

from actors.batch_thread import BatchThread, Job
from actors.prompting import load_tokenizer
from actors.reward_model import RewardModel
from actors.transformers_model import context_length
from actors.transformers_options import TransformersOptions
from prm_search.concurrency import gather_all
from prm_search.errors import ContextLengthError, EmptyStepError, ScoringError
from prm_search.model_folder import check_folder
from prm_search.prms.family import VerdictFamily
from prm_search.prms.outputs import probabilities
from prm_search.prms.prm import Prm
from prm_search.prms.rendering import RenderedSolution, renderer_of
from prm_search.types import Failure, Scoring, StepScores, Trajectory, Usage

Rows = list[list[float]]
"""Logits of the head at each step. [num_steps, num_outputs]"""


class TransformersScorer:
    """A scorer that needs torch and transformers alone."""

    def __init__(self, *, prm: Prm, options: TransformersOptions | None = None) -> None:
        self._prm = prm
        self._options = options or TransformersOptions()

    async def start(self) -> None:
        """Load the model.

        Raises:
            EngineError: if it cannot be loaded.
        """
        prm = self._prm
        check_folder(prm.model)
        tokenizer = load_tokenizer(prm.model)
        family = prm.family
        self._model = await asyncio.to_thread(
            RewardModel.load,
            prm.model,
            dtype=prm.dtype,
            options=self._options,
            verdicts=family.verdicts(tokenizer) if isinstance(family, VerdictFamily) else None,
        )
        self._max_model_len = context_length(self._model.backbone, prm.max_model_len)
        self._renderer = renderer_of(family, tokenizer, system_prompt=prm.system_prompt)
        self._thread: BatchThread[RenderedSolution, Rows] = BatchThread(self._run, self._options)

    async def reset_cache(self) -> None:
        """Nothing: every score is computed anew."""

    async def close(self) -> None:
        """End the thread that computes."""
        await self._thread.close()

    async def score(self, trajectories: Sequence[Trajectory]) -> Scoring:
        """Score every step of each trajectory.

        Raises:
            EngineError: if the engine failed. A trajectory that cannot be scored gives a
                Failure in its place instead.
        """
        started = time.perf_counter()
        scored = await gather_all(map(self._score, trajectories))
        num_tokens = sum(num_tokens for _, num_tokens in scored)
        return Scoring(
            scores=tuple(scores for scores, _ in scored),
            usage=Usage(
                prompt_tokens=num_tokens,
                scored_tokens=num_tokens,
                num_calls=len(trajectories),
                seconds=time.perf_counter() - started,
            ),
        )

    async def _score(self, trajectory: Trajectory) -> tuple[StepScores | Failure, int]:
        num_tokens = 0
        try:
            solutions = [item for item in self._render(trajectory) if item.positions]
            computed = await gather_all(
                self._thread.submit(solution, num_tokens=len(solution.token_ids))
                for solution in solutions
            )
            num_tokens = sum(len(solution.token_ids) for solution in solutions)
            rows = map(probabilities, chain.from_iterable(computed))
            return StepScores(values=tuple(map(self._prm.family.score, rows))), num_tokens
        except (ContextLengthError, EmptyStepError, ScoringError) as error:
            return Failure.of(error), num_tokens

    def _render(self, trajectory: Trajectory) -> tuple[RenderedSolution, ...]:
        solutions = self._renderer(
            trajectory.problem.prompt, [step.text for step in trajectory.steps]
        )
        longest = max((len(solution.token_ids) for solution in solutions), default=0)
        if longest > self._max_model_len:
            raise ContextLengthError(longest, self._max_model_len, "solution to be scored")
        return solutions

    def _run(self, jobs: Sequence[Job[RenderedSolution, Rows]]) -> Iterator[None]:
        """Compute a batch in one forward."""
        rows = self._model(
            [job.request.token_ids for job in jobs], [list(job.request.positions) for job in jobs]
        )
        for job, row in zip(jobs, rows, strict=True):
            job.finish(row.tolist())
        yield
