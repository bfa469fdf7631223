"""Engines without models that know the sandbox: what they say is true but for a share of it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from prm_search.prms.prm import Prm
from prm_search.protocols import Until
from prm_search.sandbox.oracle import first_error
from prm_search.sandbox.solutions import Flaws, write_solution
from prm_search.sandbox.wording import read_problem
from prm_search.seeds import derive_seed
from prm_search.types import (
    Generation,
    Judgement,
    Scoring,
    Step,
    StepScores,
    StopReason,
    Trajectory,
    Usage,
    Verdict,
)

SKILLS = {"oracle": 0.95, "consensus_hard": 0.9, "judge": 0.8, "consensus_soft": 0.6}
"""How often a PRM sees the first error, by what it was trained on; the others see it rarely."""


class Engine:
    async def start(self) -> None:
        """Nothing."""

    async def reset_cache(self) -> None:
        """Nothing."""

    async def close(self) -> None:
        """Nothing."""


class WritingPolicy(Engine):
    """Writes flawed solutions; a prefix is continued as if the solution had been so long."""

    async def generate(
        self,
        prefix: Trajectory,
        *,
        num_samples: int,
        until: Until,
        seed: int,
        temperature: float | None = None,
    ) -> Generation:
        world = read_problem(prefix.problem.prompt)
        flaws = Flaws(misconception_share=0.3, slip_probability=0.1)
        continuations: list[tuple[Step, ...]] = []
        for sample in range(num_samples):
            texts = write_solution(world, random.Random(derive_seed(seed, sample)), flaws)
            texts = texts[min(len(prefix.steps), len(texts) - 1) :]
            ending = Step(text=texts[-1], token_ids=(1, 2), stop_reason=StopReason.END)
            steps = [Step(text=f"{text}\n\n", token_ids=(1, 2, 3)) for text in texts[:-1]]
            continuations.append((*steps, ending))
        return Generation(continuations=tuple(continuations), usage=Usage(num_calls=1))


class OracleScorer(Engine):
    """Sees a share of the errors, which depends on the name of its model."""

    def __init__(self, *, prm: Prm) -> None:
        self._name = Path(prm.model).name

    async def score(self, trajectories: Sequence[Trajectory]) -> Scoring:
        scores = tuple(map(self._score, trajectories))
        usage = Usage(num_calls=1, prompt_tokens=20 * len(scores))
        return Scoring(scores=scores, usage=usage)

    def _score(self, trajectory: Trajectory) -> StepScores:
        rng = random.Random(derive_seed(0, self._name, trajectory.problem.id, trajectory.text))
        texts = [step.content for step in trajectory.steps]
        wrong = first_error(trajectory.problem.prompt, texts)
        values = [0.7 + 0.3 * rng.random() for _ in texts]
        if wrong is not None and rng.random() < SKILLS.get(self._name, 0.3):
            values[wrong] = 0.2
        return StepScores(values=tuple(values))


class OracleJudge(Engine):
    """Overlooks every fifth error."""

    async def judge(self, trajectory: Trajectory, *, num_votes: int, seed: int) -> Judgement:
        texts = [step.content for step in trajectory.steps]
        wrong = first_error(trajectory.problem.prompt, texts)
        verdict = Verdict(first_error=wrong if seed % 5 else None, critique="So it is.")
        return Judgement(verdicts=(verdict,) * num_votes, usage=Usage(num_calls=1))
