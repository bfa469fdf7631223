"""A PRM run by transformers, which computes no prefix twice as long as there is memory for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence

from actors.batch_thread import BatchThread, Job
from actors.prefix_reader import PrefixReader, Reading, Rows
from actors.prompting import load_tokenizer
from actors.reward_model import RewardModel
from actors.step_scoring import StepScoring
from actors.transformers_model import context_length
from actors.transformers_options import TransformersOptions
from prm_search.model_folder import check_folder
from prm_search.prms.family import VerdictFamily
from prm_search.prms.outputs import probabilities
from prm_search.prms.prm import Prm
from prm_search.prms.rendering import RenderedSolution, renderer_of
from prm_search.tokens import Tokenizer
from prm_search.types import Scoring, Trajectory, Usage

_GIB = 1024**3

_log = logging.getLogger(__name__)


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
        check_folder(self._prm.model)
        tokenizer = load_tokenizer(self._prm.model)
        model = await asyncio.to_thread(self._load, tokenizer)
        self._serve(model, tokenizer)

    async def reset_cache(self) -> None:
        """Forget all scores and prefixes."""
        self._scoring.clear()
        self._reader.clear()

    async def close(self) -> None:
        """End the thread that computes."""
        await self._thread.close()

    async def score(self, trajectories: Sequence[Trajectory]) -> Scoring:
        """Score every step of each trajectory.

        Raises:
            EngineError: if the engine failed. A trajectory that cannot be scored gives a
                Failure in its place instead.
        """
        return await self._scoring(trajectories)

    def _load(self, tokenizer: Tokenizer) -> RewardModel:
        family = self._prm.family
        return RewardModel.load(
            self._prm.model,
            dtype=self._prm.dtype,
            options=self._options,
            verdicts=family.verdicts(tokenizer) if isinstance(family, VerdictFamily) else None,
        )

    def _serve(self, model: RewardModel, tokenizer: Tokenizer) -> None:
        prm, options = self._prm, self._options
        keeps = options.reuse_prefixes and model.keeps_states
        if keeps is not options.reuse_prefixes:
            _log.warning("%s attends within a window: prefixes are computed anew", prm.model)
        self._reader = PrefixReader(
            model, max_bytes=int(options.prefix_cache_gib * _GIB) if keeps else 0
        )
        self._scoring = StepScoring(
            renderer_of(prm.family, tokenizer, system_prompt=prm.system_prompt),
            self._compute,
            max_model_len=context_length(model.backbone, prm.max_model_len),
            reuse_prefixes=options.reuse_prefixes,
        )
        self._thread: BatchThread[Reading, Rows] = BatchThread(self._run, options)

    async def _compute(
        self, solution: RenderedSolution, keys: Sequence[bytes]
    ) -> tuple[dict[bytes, float], Usage]:
        position_of = dict(zip(solution.keys, solution.positions, strict=True))
        reading = Reading(solution=solution, positions=tuple(position_of[key] for key in keys))
        rows = await self._thread.submit(reading, num_tokens=reading.positions[-1] + 1)
        family = self._prm.family
        scores = {
            key: family.score(probabilities(row))
            for key, row in zip(keys, rows.logits, strict=True)
        }
        return scores, Usage(
            prompt_tokens=rows.num_computed + rows.num_cached,
            cached_tokens=rows.num_cached,
            scored_tokens=rows.num_computed,
            num_calls=1,
        )

    def _run(self, jobs: Sequence[Job[Reading, Rows]]) -> Iterator[None]:
        """Compute a batch."""
        for job, rows in zip(jobs, self._reader([job.request for job in jobs]), strict=True):
            job.finish(rows)
        yield
