"""A generative PRM over any engine that samples text.

    steps 0 … k ──► K analyses, each drawn with both verdicts watched
                      └─► P(right) among the verdicts, where the analysis says its own

Nothing is computed a second time to obtain a probability.
"""

from __future__ import annotations

import hashlib
import logging
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from actors.completion import Completion, CompletionEngine, Sampling, shared_prompt_usage
from actors.prompting import decode_pieces, load_tokenizer
from actors.score_cache import ScoreCache
from prm_search.concurrency import gather_all
from prm_search.errors import ContextLengthError, EmptyStepError, ScoringError
from prm_search.prms.generative import token_at, unreadable, verdict_tokens
from prm_search.prms.generative_prm import Combination, GenerativePrm
from prm_search.prms.recorded_analyses import AnalysisRecording, RecordedStep
from prm_search.prms.settling import num_missing
from prm_search.seeds import derive_seed
from prm_search.tokens import question_tokens
from prm_search.types import Failure, Scoring, StepScores, StopReason, Trajectory, Usage

_MANY_UNREADABLE = 0.1
"""The share from which on it is worth a warning."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Prefix:
    """A problem and the steps up to the one in question, without the white space around them."""

    problem: str
    steps: tuple[str, ...]

    @property
    def key(self) -> bytes:
        texts = (self.problem, *self.steps)
        # Lengths keep ("ab", "c") from ("a", "bc").
        joined = "".join(f"{len(text)}:{text}" for text in texts)
        return hashlib.blake2b(joined.encode(), digest_size=16).digest()


class GenerativeScorer(ABC):
    """A scorer. Each engine has a subclass that starts it.

    Attributes:
        num_analyses: analyses drawn so far.
        num_unreadable: those of them that do not count, because no verdict can be read in them.
    """

    def __init__(self, prm: GenerativePrm) -> None:
        self._prm = prm
        self._scores = ScoreCache()
        self._recording = AnalysisRecording(prm.recording) if prm.recording else None
        self.num_analyses = 0
        self.num_unreadable = 0

    async def start(self) -> None:
        """Load the model.

        Raises:
            ConfigurationError: if the model's tokens do not tell the verdicts apart.
            EngineError: if it cannot be loaded.
            StoreError: if analyses shall be recorded and cannot be.
        """
        if self._recording:
            self._recording.open()
        self._engine = await self._start_engine()
        self._tokenizer = load_tokenizer(self._prm.model)
        self._verdicts = verdict_tokens(self._prm.family, self._tokenizer)

    @abstractmethod
    async def _start_engine(self) -> CompletionEngine: ...

    async def reset_cache(self) -> None:
        """Forget all scores and prefixes; see `actors.engine.Engine`."""
        self._scores.clear()
        await self._engine.reset_cache()

    async def close(self) -> None:
        """End the engine."""
        if self.num_unreadable > _MANY_UNREADABLE * self.num_analyses:
            _log.warning(
                "%d of %d analyses by %s could not be read and did not count",
                *(self.num_unreadable, self.num_analyses, self._prm.model),
            )
        await self._engine.close()

    async def score(self, trajectories: Sequence[Trajectory]) -> Scoring:
        """Score every step of each trajectory.

        Raises:
            EngineError: if the engine failed. A trajectory of which a step has no analysis that
                can be read, or does not fit into the context, gives a Failure in its place.
        """
        scored = await gather_all(map(self._score, trajectories))
        return Scoring(
            scores=tuple(scores for scores, _ in scored),
            usage=sum((usage for _, usage in scored), start=Usage()),
        )

    async def _score(self, trajectory: Trajectory) -> tuple[StepScores | Failure, Usage]:
        started = time.perf_counter()
        steps = tuple(step.content for step in trajectory.steps)
        if not all(steps):
            index = steps.index("")
            return Failure.of(EmptyStepError(f"step {index} has no content to be scored")), Usage()
        judged = await gather_all(
            self._score_last(_Prefix(problem=trajectory.problem.prompt, steps=steps[: index + 1]))
            for index in range(len(steps))
        )
        usage = sum((spent for _, spent in judged), start=Usage())
        usage = replace(usage, seconds=time.perf_counter() - started)
        values: list[float] = []
        for index, (score, _) in enumerate(judged):
            if isinstance(score, Failure):
                return replace(score, message=f"step {index}: {score.message}"), usage
            values.append(score)
        return StepScores(values=tuple(values)), usage

    async def _score_last(self, prefix: _Prefix) -> tuple[float | Failure, Usage]:
        """The score of a prefix's last step, and what it cost now."""
        usage = Usage()

        async def compute(keys: Sequence[bytes]) -> Mapping[bytes, float]:
            nonlocal usage
            score, usage = await self._judge(prefix, keys[0])
            if isinstance(score, Failure):
                raise ScoringError(score.message)
            return {keys[0]: score}

        try:
            (score,) = await self._scores.get([prefix.key], compute)
        except (ContextLengthError, ScoringError) as error:
            return Failure.of(error), usage
        return score, usage

    async def _judge(self, prefix: _Prefix, key: bytes) -> tuple[float | Failure, Usage]:
        """Draw analyses of the last step until its verdict is settled."""
        prm = self._prm
        message = prm.family.message(prefix.problem, prefix.steps)
        prompt = question_tokens(self._tokenizer, message, system_prompt=prm.system_prompt)
        sampling = Sampling(
            max_tokens=prm.max_tokens,
            temperature=prm.temperature,
            top_p=prm.top_p,
            top_k=prm.top_k,
            watch=self._verdicts,
        )
        drawn: list[Completion] = []
        said: list[float | None] = []
        values: list[float] = []
        failure: Failure | None = None
        while number := num_missing(
            values,
            most=prm.num_samples - len(drawn),
            threshold=prm.threshold,
            confidence=prm.confidence,
        ):
            wave = await gather_all(
                self._engine.complete(
                    prompt, replace(sampling, seed=derive_seed(prm.seed, key.hex(), index))
                )
                for index in range(len(drawn), len(drawn) + number)
            )
            drawn += wave
            for analysis in wave:
                value = self._read(prompt, analysis)
                if isinstance(value, Failure):
                    failure = value
                    self.num_unreadable += 1
                    said.append(None)
                else:
                    values.append(value)
                    said.append(value)
        self.num_analyses += len(drawn)
        self._record(prefix, said, drawn)
        usage = shared_prompt_usage(drawn)
        computed = usage.prompt_tokens - usage.cached_tokens + usage.generated_tokens
        usage = replace(usage, scored_tokens=computed, num_calls=1)
        if values:
            return sum(values) / len(values), usage
        assert failure is not None
        reason = f"none of {len(drawn)} analyses has a verdict; the last one: {failure.message}"
        return replace(failure, message=reason), usage

    def _record(
        self, prefix: _Prefix, said: Sequence[float | None], drawn: Sequence[Completion]
    ) -> None:
        if self._recording is None:
            return
        computed = (
            analysis.num_prompt_tokens - analysis.num_cached_tokens + len(analysis.token_ids)
            for analysis in drawn
        )
        self._recording.add(
            RecordedStep(
                problem=prefix.problem,
                steps=prefix.steps,
                values=tuple(said),
                num_tokens=tuple(computed),
            )
        )

    def _read(self, prompt: tuple[int, ...], analysis: Completion) -> float | Failure:
        """What an analysis says of the step, in [0, 1]."""
        pieces = decode_pieces(self._tokenizer, prompt, analysis.token_ids)
        text = "".join(pieces)
        if analysis.stop_reason is StopReason.LENGTH:
            return unreadable(f"it was cut off after {len(pieces)} tokens", text)
        verdict = self._prm.family.read(text)
        if isinstance(verdict, Failure):
            return verdict
        position = token_at(pieces, verdict.start)
        expected = self._verdicts[verdict.is_right]
        if position is None or analysis.token_ids[position] != expected:
            return unreadable("its verdict is not written in the tokens of a verdict", text)
        if self._prm.combination is Combination.majority:
            return float(verdict.is_right)
        wrong, right = (math.exp(logprob) for logprob in analysis.watched[position])
        if not wrong + right > 0:  # also refuses NaN
            return unreadable(f"its verdict has the probabilities {wrong} and {right}", text)
        return right / (wrong + right)
