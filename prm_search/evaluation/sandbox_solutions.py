"""Flawed solutions of sandbox problems, written rather than sampled, with the oracle's truth."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from prm_search.errors import ConfigurationError
from prm_search.evaluation.case import Case, Cases, Truth, written_steps
from prm_search.grading import GraderSettings
from prm_search.sandbox.oracle import first_error
from prm_search.sandbox.problems import SandboxProblems, Split
from prm_search.sandbox.solutions import Flaws, write_solution
from prm_search.sandbox.wording import read_answer, read_problem
from prm_search.sandbox.world import LEVELS
from prm_search.seeds import derive_seed
from prm_search.types import Trajectory


@dataclass(frozen=True, kw_only=True, slots=True)
class SandboxSolutions:
    """ProcessBench in the sandbox: one solution of each problem, by level, with a known truth."""

    split: Split = Split.test
    """The splits have no problem in common."""
    num_problems: int = 1000
    """Problems to draw; the levels take turns."""
    levels: list[int] = field(default_factory=lambda: list(LEVELS))
    """1 (two or three operations) to 5 (ten to twelve). Each level is a subset."""
    misconception_share: float = 0.3
    """Chance in [0, 1] that a solution reads trap wordings the wrong way round."""
    slip_probability: float = 0.08
    """Chance in [0, 1] of a random slip, for each step."""
    seed: int = 1
    """Which problems and errors are drawn."""

    def __post_init__(self) -> None:
        for name in ("misconception_share", "slip_probability"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigurationError(
                    f"benchmark.{name} must be in [0, 1], not {getattr(self, name)}"
                )

    async def load(self, grader: GraderSettings) -> Cases:
        """The cases; see `prm_search.evaluation.case.Benchmark`."""
        problems = SandboxProblems(
            split=self.split, num_problems=self.num_problems, levels=self.levels, seed=self.seed
        )
        flaws = Flaws(
            misconception_share=self.misconception_share, slip_probability=self.slip_probability
        )
        cases: list[Case] = []
        for problem in problems.load().problems:
            rng = random.Random(derive_seed(self.seed, "solution", problem.id))
            steps = write_solution(read_problem(problem.prompt), rng, flaws)
            answer = read_answer(steps[-1])
            cases.append(
                Case(
                    id=problem.id,
                    problem=problem.id,
                    subset=f"level {problem.metadata['level']}",
                    trajectory=Trajectory(problem=problem, steps=written_steps(steps)),
                    truth=Truth(first_error=first_error(problem.prompt, steps)),
                    answer=None if answer is None else str(answer),
                    is_right=str(answer) == problem.answer,
                )
            )
        return Cases(cases=tuple(cases))
