"""A PRM served by vLLM, which computes no prefix twice.

vLLM keeps the keys and values of prefixes but gives no output for what it did not compute. So
the scores of earlier steps are kept here, and a request ends exactly at the newest step that
has no score.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from actors.prm_head import require_served_head
from actors.prompting import load_tokenizer
from actors.step_scoring import StepScoring
from actors.vllm_engine import PooledRows, VllmEngine
from actors.vllm_options import VllmOptions
from prm_search.concurrency import gather_all
from prm_search.errors import ScoringError
from prm_search.prms.family import VerdictFamily
from prm_search.prms.outputs import probabilities
from prm_search.prms.prm import Prm
from prm_search.prms.rendering import RenderedSolution, renderer_of
from prm_search.tokens import Tokenizer
from prm_search.types import Scoring, Trajectory, Usage


class VllmScorer:
    """A scorer.

    Attributes:
        num_recomputed: requests that had to be computed again in full, because a score was
            needed where vLLM had cached the position, or because a score was not finite.
    """

    def __init__(self, *, prm: Prm, options: VllmOptions | None = None) -> None:
        self._prm = prm
        self._options = options or VllmOptions()
        self._verdicts: tuple[int, int] | None = None
        self.num_recomputed = 0

    async def start(self) -> None:
        """Load the model.

        Raises:
            ConfigurationError: if vLLM does not serve a model with such a head.
            EngineError: if it cannot be loaded.
        """
        family = self._prm.family
        if not isinstance(family, VerdictFamily):
            require_served_head(self._prm.model)
        engine = await VllmEngine.start(
            self._prm.model,
            is_pooling=not isinstance(family, VerdictFamily),
            dtype=self._prm.dtype,
            max_model_len=self._prm.max_model_len,
            options=self._options,
        )
        self._serve(engine, load_tokenizer(self._prm.model))

    async def close(self) -> None:
        """End the engine."""
        await self._engine.close()

    async def score(self, trajectories: Sequence[Trajectory]) -> Scoring:
        """Score every step of each trajectory.

        Raises:
            EngineError: if the engine failed. A trajectory that cannot be scored gives a
                Failure in its place instead.
        """
        return await self._scoring(trajectories)

    async def reset_cache(self) -> None:
        """Forget all scores and prefixes.

        Raises:
            EngineError: if requests are in progress.
        """
        self._scoring.clear()
        await self._engine.reset_cache()

    def _serve(self, engine: VllmEngine, tokenizer: Tokenizer) -> None:
        self._engine = engine
        family = self._prm.family
        if isinstance(family, VerdictFamily):
            self._verdicts = family.verdicts(tokenizer)
        self._scoring = StepScoring(
            renderer_of(family, tokenizer, system_prompt=self._prm.system_prompt),
            self._compute,
            max_model_len=engine.max_model_len,
            reuse_prefixes=self._options.reuse_prefixes,
        )

    async def _compute(
        self, solution: RenderedSolution, keys: Sequence[bytes]
    ) -> tuple[dict[bytes, float], Usage]:
        position_of = dict(zip(solution.keys, solution.positions, strict=True))
        positions = {key: position_of[key] for key in keys}
        if self._verdicts is not None:
            return await self._read_verdicts(solution, positions, self._verdicts)
        prompt = solution.token_ids[: max(positions.values()) + 1]
        pooled = await self._engine.pool(prompt, read_cache=self._options.reuse_prefixes)
        usage = _usage(pooled)
        scores = self._read(pooled, positions)
        if scores is None or not all(map(math.isfinite, scores.values())):
            # vLLM still had the keys and values of a step whose score is no longer kept; or
            # they were not finite, which one bad solution can do to its neighbours' prefixes.
            self.num_recomputed += 1
            pooled = await self._engine.pool(prompt, read_cache=False)
            usage += _usage(pooled)
            scores = self._read(pooled, positions)
        if scores is None:
            raise ScoringError(
                f"vLLM gave {len(pooled.rows)} rows for {len(prompt)} tokens, "
                f"{pooled.num_cached_tokens} of them cached"
            )
        return scores, usage

    async def _read_verdicts(
        self,
        solution: RenderedSolution,
        positions: Mapping[bytes, int],
        verdicts: tuple[int, int],
    ) -> tuple[dict[bytes, float], Usage]:
        """One generated token per step; vLLM computes their common prefix once."""
        prompts = [solution.token_ids[: position + 1] for position in positions.values()]
        answers = await gather_all(
            self._engine.next_token_logprobs(prompt, verdicts) for prompt in prompts
        )
        scores: dict[bytes, float] = {}
        usage = Usage()
        for key, prompt, answer in zip(positions, prompts, answers, strict=True):
            row = probabilities(answer.values)
            if not all(map(math.isfinite, row)):
                raise ScoringError(f"vLLM gave the log probabilities {answer.values}")
            scores[key] = self._prm.family.score(row)
            usage += Usage(
                prompt_tokens=len(prompt),
                cached_tokens=answer.num_cached_tokens,
                scored_tokens=len(prompt) - answer.num_cached_tokens,
                num_calls=1,
            )
        return scores, usage

    def _read(
        self, pooled: PooledRows, positions: Mapping[bytes, int]
    ) -> dict[bytes, float] | None:
        """The scores at these positions; None if there is no row for one of them."""
        first = pooled.num_cached_tokens
        is_whole = len(pooled.rows) == pooled.num_prompt_tokens - first
        if not is_whole or first > min(positions.values()):
            return None
        return {
            key: self._prm.family.score(probabilities(pooled.rows[position - first]))
            for key, position in positions.items()
        }


def _usage(pooled: PooledRows) -> Usage:
    return Usage(
        prompt_tokens=pooled.num_prompt_tokens,
        cached_tokens=pooled.num_cached_tokens,
        scored_tokens=pooled.num_prompt_tokens - pooled.num_cached_tokens,
        num_calls=1,
    )
