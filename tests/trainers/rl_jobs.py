"""Jobs that train a tiny policy in seconds, and what came of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from actors.inprocess import InProcessCluster
from actors.transformers_generator import TransformersGenerator
from prm_search.budget import Role
from prm_search.data.loaded import Loaded
from prm_search.fakes import FakeScorer
from prm_search.grading import GraderSettings
from prm_search.policy import Policy
from prm_search.rewards.credit import GroupCredit
from prm_search.rewards.recipes import AnswerReward, CombinedReward, PrmReward
from prm_search.serving.job import EngineFactories
from prm_search.types import Problem
from trainers.prm_settings import Precision
from trainers.rl_job import TrainRl
from trainers.rl_settings import PolicyOptimizer, RlTrainer

NAMES = ("Ann", "Ben", "Cara", "Dan", "Eve")


@dataclass(frozen=True, kw_only=True)
class FewProblems:
    """A data set."""

    num_problems: int = 5

    def load(self) -> Loaded:
        problems = tuple(
            Problem(id=name, prompt=f"How many shells has {name}?", answer="12")
            for name in NAMES[: self.num_problems]
        )
        return Loaded(problems=problems, set_aside=())


@dataclass(frozen=True)
class RlJobs:
    """Makes jobs; what is given replaces the defaults."""

    model: Path
    folder: Path

    def __call__(
        self, trainer: dict[str, Any] | None = None, name: str = "run", **given: Any
    ) -> TrainRl:
        policy = Policy(model=str(self.model), max_tokens=12, logprobs=True)
        reward = CombinedReward(parts={"prm": PrmReward(), "answer": AnswerReward()})
        fields: dict[str, Any] = {
            "policy": policy,
            "engine": EngineFactories(
                {
                    Role.POLICY: partial(TransformersGenerator, policy=policy),
                    Role.PRM: partial(FakeScorer, noise=0.1),
                }
            ),
            "cluster": InProcessCluster(),
            "data": FewProblems(),
            "held_out": FewProblems(num_problems=2),
            "reward": reward,
            "credit": GroupCredit(),
            "grader": GraderSettings(num_processes=1),
            "trainer": RlTrainer(
                **{
                    "num_updates": 3,
                    "problems_per_update": 2,
                    "rollouts_per_problem": 4,
                    "rollouts_per_forward": 4,
                    "optimizer": PolicyOptimizer(learning_rate=1e-3),
                    "precision": Precision.float32,
                    "checkpoint_every": 2,
                }
                | (trainer or {})
            ),
            "run_dir": str(self.folder / name),
            "model_dir": str(self.folder / name / "model"),
        }
        return TrainRl(**fields | given)


def run(job: TrainRl) -> int:
    from trainers.rl import run_job

    config = {
        "credit": str(job.credit),
        "methods": {name: str(credit) for name, credit in job.methods.items()},
        "trainer": {"num_updates": job.trainer.num_updates},
    }
    return run_job(job, config=config, command="again")


def lines(job: TrainRl) -> list[dict[str, float]]:
    text = (Path(job.run_dir) / "metrics.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def updates(job: TrainRl) -> list[dict[str, float]]:
    return [line for line in lines(job) if "loss" in line]


def curve(job: TrainRl) -> list[float]:
    names = ("step", "grad_norm", "prm_mean", "tokens_per_response", "entropy")
    return [line[name] for line in updates(job) for name in names]
