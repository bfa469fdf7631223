"""Engines without models for the study of R-PRMs: what they say is true but for a share of it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from prm_search.prms.generative_prm import GenerativePrm
from prm_search.prms.prm import Prm
from prm_search.prms.recorded_analyses import AnalysisRecording, RecordedStep
from prm_search.protocols import Until
from prm_search.sandbox.oracle import first_error
from prm_search.seeds import derive_seed
from prm_search.types import Generation, Scoring, StepScores, Trajectory, Usage
from tests.studies.writers import Engine, OracleScorer, WritingPolicy

PROMPT_TOKENS, ANALYSIS_TOKENS = 10, 20


class SteppingPolicy(Engine):
    """Writes flawed solutions, or their next steps."""

    async def generate(
        self,
        prefix: Trajectory,
        *,
        num_samples: int,
        until: Until,
        seed: int,
        temperature: float | None = None,
    ) -> Generation:
        whole = await WritingPolicy().generate(
            prefix, num_samples=num_samples, until=until, seed=seed, temperature=temperature
        )
        if until is Until.END:
            return whole
        first = tuple(steps[:1] for steps in whole.continuations)
        return Generation(continuations=first, usage=whole.usage)


class AnalysingScorer(Engine):
    """An R-PRM whose analyses are right in 85 of 100 cases after DPO, and in 70 after SFT."""

    def __init__(self, prm: GenerativePrm) -> None:
        self._prm = prm
        self._name = Path(prm.model).parent.name
        self._skill = {"dpo": 0.85, "sft": 0.7}[self._name]
        self._recording = AnalysisRecording(prm.recording) if prm.recording else None

    async def start(self) -> None:
        if self._recording:
            self._recording.open()

    async def score(self, trajectories: Sequence[Trajectory]) -> Scoring:
        number = self._prm.num_samples
        spent = PROMPT_TOKENS + number * ANALYSIS_TOKENS
        num_steps = sum(len(item.steps) for item in trajectories)
        return Scoring(
            scores=tuple(map(self._score, trajectories)),
            usage=Usage(num_calls=1, generated_tokens=spent, scored_tokens=spent * num_steps),
        )

    def _score(self, trajectory: Trajectory) -> StepScores:
        texts = tuple(step.content for step in trajectory.steps)
        wrong = first_error(trajectory.problem.prompt, texts)
        means: list[float] = []
        for index in range(len(texts)):
            values = self._analyses(trajectory.problem.prompt, texts[: index + 1], index == wrong)
            means.append(sum(values) / len(values))
        return StepScores(values=tuple(means))

    def _analyses(self, problem: str, steps: tuple[str, ...], is_wrong: bool) -> list[float]:
        rng = random.Random(derive_seed(0, self._name, problem, *steps))
        values: list[float] = []
        for _ in range(self._prm.num_samples):
            says_wrong = is_wrong == (rng.random() < self._skill)
            values.append(0.1 if says_wrong else 0.9)
        if self._recording:
            self._recording.add(
                RecordedStep(
                    problem=problem,
                    steps=steps,
                    values=tuple(values),
                    num_tokens=(
                        PROMPT_TOKENS + ANALYSIS_TOKENS,
                        *(ANALYSIS_TOKENS for _ in values[1:]),
                    ),
                )
            )
        return values


def scorer_of(*, prm: Prm | GenerativePrm) -> AnalysingScorer | OracleScorer:
    """By kind of the PRM."""
    return AnalysingScorer(prm) if isinstance(prm, GenerativePrm) else OracleScorer(prm=prm)
