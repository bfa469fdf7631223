"""`prm-search train-rl`: what a training of a policy consists of, without importing torch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from prm_search.budget import Role
from prm_search.data import ProblemLoader
from prm_search.engines import Cluster
from prm_search.errors import ConfigurationError
from prm_search.grading import GraderSettings
from prm_search.job import needs_scorer
from prm_search.model_settings import require
from prm_search.policy import Policy
from prm_search.protocols import SearchAlgorithm
from prm_search.rewards import MicroBatching, Reward
from prm_search.rewards.credit import Credit
from prm_search.rewards.guards import HackAlarm
from prm_search.rewards.recipes import Part, RewardRecipe
from prm_search.rl.summary import RESULT
from prm_search.serving.job import EngineFactories
from prm_search.types import StepScores
from trainers.rl_settings import RlTrainer

_MAY_DIFFER = (
    "run_dir",
    "model_dir",
    "cluster",
    "held_out",
    "held_out_search",
    "alarm",
    "batching",
    "grader.num_processes",
    "methods",
    "seeds",
    "trainer.ray",
    "trainer.max_restarts",
    "trainer.weights_dir",
    "trainer.keep_rollouts",
    "trainer.evaluate_every",
    "trainer.checkpoint_every",
    "trainer.max_checkpoints",
    "trainer.report_to",
)
"""Settings that a resumed training may change, because no update depends on them. Each of several
trainings records its own credit and seed, so methods and seeds may come and go."""
_LENGTH = ("trainer.num_updates", "trainer.max_generated_tokens")
"""May change as well, unless the learning rate falls towards the end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainRl:
    """The training of a policy, or several of them on the same engines."""

    policy: Policy
    """The model that is trained, and how it samples."""
    prm: object = None
    """The model that scores steps. Started if the reward or a search needs it."""
    judge: object = None
    """The model that looks for the first wrong step. Started if the reward needs it."""
    engine: EngineFactories
    """What runs the models."""
    cluster: Cluster
    """Where the engines run: how many replicas, with which resources."""
    data: ProblemLoader
    """The problems that are learned from; those with equal texts count as one."""
    held_out: ProblemLoader | None = None
    """Problems that the policy is evaluated on; null evaluates nothing."""
    held_out_search: SearchAlgorithm | None = None
    """A search with which held-out problems are solved as well, beside greedy decoding."""
    reward: RewardRecipe
    """Where rewards come from."""
    credit: Credit | None = None
    """How rewards become advantages."""
    methods: Mapping[str, Credit] = field(default_factory=dict[str, Credit])
    """Several credits to train with one after another on the same engines, by name, instead of
    one."""
    search: SearchAlgorithm | None = None
    """Takes rollouts from a search, with the scores of its tree, instead of sampling them. They
    are then no samples of the policy alone."""
    batching: MicroBatching = field(default_factory=MicroBatching)
    """How rollouts that end at about the same time are rewarded together."""
    grader: GraderSettings = field(default_factory=GraderSettings)
    """How answers are found and compared."""
    alarm: HackAlarm = field(default_factory=HackAlarm)
    """When the policy is held to hack its reward."""
    trainer: RlTrainer = field(default_factory=RlTrainer)
    """How the policy is trained."""
    seed: int = 0
    """Every random choice derives from it."""
    seeds: list[int] = field(default_factory=list[int])
    """Several seeds to train with one after another, instead of one."""
    run_dir: str
    """Where checkpoints and metrics are written. Giving that of an earlier run resumes it."""
    model_dir: str
    """Where the finished model is written, within a folder of its own for each of several."""

    def __post_init__(self) -> None:
        policy = self.policy
        require(policy.temperature > 0, "policy.temperature", policy.temperature, "must be above 0")
        # The loss takes each token's probability without them.
        require(policy.top_p == 1, "policy.top_p", policy.top_p, "must be 1 in a training")
        require(policy.top_k is None, "policy.top_k", policy.top_k, "must be null in a training")
        if (self.credit is None) == (not self.methods):
            raise ConfigurationError("give either credit or methods")
        if self.search is not None:
            self._check_search(self.search)
        for credit in self.methods.values() if self.credit is None else (self.credit,):
            credit([self._example(), self._example()])  # refuses a reward that it cannot use
        sizes = self.trainer.problems_per_update % max(1, self.trainer.ray.num_workers)
        if self.search is not None and sizes:
            raise ConfigurationError(
                "with search=…, a group cannot be divided between processes; make "
                "trainer.problems_per_update a multiple of trainer.ray.num_workers"
            )

    def _check_search(self, search: SearchAlgorithm) -> None:
        if self.reward.needs != {Role.PRM}:
            raise ConfigurationError(
                "with search=…, step scores are those of its tree, so they come from the PRM and "
                "from nothing else; choose reward=prm_and_answer or reward=prm, or leave search out"
            )
        if not needs_scorer(search):
            raise ConfigurationError(
                f"{type(search).__name__} scores no steps; choose a search that does, or leave "
                "search out"
            )

    def _example(self) -> Reward:
        """A reward with all that the source gives."""
        gives = self.reward.gives
        return Reward(
            spans=((0, 1),),
            scores=StepScores(values=(1.0,)) if Part.scores in gives else None,
            outcome=1.0 if Part.outcome in gives else None,
        )

    def settings_that_may_differ(self) -> tuple[str, ...]:
        """Names of those that a resumed training may change, because no update depends on them."""
        if self.trainer.optimizer.decay_share > 0:
            return _MAY_DIFFER
        return _MAY_DIFFER + _LENGTH

    def trainings(self) -> Iterator[TrainRl]:
        """The trainings, each with one credit, one seed and a run directory of its own."""
        if not self.methods and not self.seeds:
            yield self
            return
        methods = self.methods or {"": self.credit}
        for seed in self.seeds or [self.seed]:
            for name, credit in methods.items():
                part = Path(name, f"seed_{seed}") if self.seeds else Path(name)
                yield replace(
                    self,
                    credit=credit,
                    methods={},
                    seed=seed,
                    seeds=[],
                    run_dir=str(Path(self.run_dir) / part),
                    model_dir=str(Path(self.model_dir) / part),
                )

    def run(self, *, config: Mapping[str, object], command: str) -> int:
        """Train, or go on where the run directory exists.

        Args:
            config: what the job was built from, as plain values; recorded in the run directory.
            command: what starts the same training in the same run directory.

        Returns:
            0 if it came to its end, 130 if it was interrupted.

        Raises:
            PrmSearchError: if it cannot be done.
        """
        try:
            from trainers.rl import run_job
        except ImportError as error:
            raise ConfigurationError(
                f"training needs more packages: {error}; pip install 'prm-search[train]'"
            ) from error
        return run_job(self, config=config, command=command)


def is_finished(job: TrainRl) -> bool:
    """Whether a training with one credit and one seed has come to its end.

    One that had been shorter, and has been given more updates since, has not; nor has one that
    was killed while it wrote down what came of it.
    """
    try:
        result = json.loads((Path(job.run_dir) / RESULT).read_text())
    except (FileNotFoundError, ValueError):
        return False
    limit = job.trainer.max_generated_tokens
    return result["updates"] >= job.trainer.num_updates or (
        limit is not None and result["generated_tokens"] >= limit
    )
