"""The settings of RL, without importing torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from prm_search.model_settings import require
from trainers.prm_settings import Precision, RayWorkers, Tracker


class PolicyLoss(StrEnum):
    """How advantages and ratios of probabilities become a loss; see TRL's `loss_type`."""

    dapo = "dapo"
    grpo = "grpo"
    dr_grpo = "dr_grpo"
    bnpo = "bnpo"
    cispo = "cispo"
    sapo = "sapo"
    luspo = "luspo"
    vespo = "vespo"


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyOptimizer:
    """How the policy is updated: AdamW, and a rate that rises, stays, and may fall at the end."""

    learning_rate: float = 1e-6
    """Reached after the warm-up."""
    num_warmup_updates: int = 0
    """Updates over which the rate rises."""
    decay_share: float = 0.0
    """Share in [0, 1] of the training, at its end, over which the rate falls to zero. The training
    is measured in tokens where max_generated_tokens is set, and in updates elsewhere."""
    weight_decay: float = 0.0
    """Of all weights but biases and norms."""
    beta1: float = 0.9
    """Decay of the mean of gradients."""
    beta2: float = 0.99
    """Decay of the mean of their squares."""
    max_gradient_norm: float = 1.0
    """Longer gradients are scaled down to this norm."""

    def __post_init__(self) -> None:
        rate, norm = self.learning_rate, self.max_gradient_norm
        require(rate > 0, "trainer.optimizer.learning_rate", rate, "must be above 0")
        require(norm > 0, "trainer.optimizer.max_gradient_norm", norm, "must be above 0")
        share = self.decay_share
        require(0 <= share <= 1, "trainer.optimizer.decay_share", share, "must be in [0, 1]")
        for name in ("num_warmup_updates", "weight_decay"):
            value = getattr(self, name)
            require(value >= 0, f"trainer.optimizer.{name}", value, "must be at least 0")
        for name in ("beta1", "beta2"):
            value = getattr(self, name)
            require(0 <= value < 1, f"trainer.optimizer.{name}", value, "must be in [0, 1)")


@dataclass(frozen=True, kw_only=True, slots=True)
class RlTrainer:
    """How a policy is trained."""

    num_updates: int = 200
    """Updates of the weights; each has rollouts of its own."""
    max_generated_tokens: int | None = None
    """Ends the training after the update in which the policy has written so many tokens for it;
    null leaves it to num_updates. Makes trainings comparable that write answers of different
    lengths."""
    problems_per_update: int = 16
    """Groups of rollouts in an update."""
    rollouts_per_problem: int = 8
    """Rollouts in a group, at least 2: they are compared with each other."""
    rollouts_per_forward: int = 32
    """Rollouts that a process computes in one forward. Fewer need less memory; an update then
    adds up the gradients of several forwards."""
    optimizer: PolicyOptimizer = field(default_factory=PolicyOptimizer)
    """How the policy is updated."""
    loss: PolicyLoss = PolicyLoss.dapo
    """How advantages become a loss; all take them token by token. dapo weighs each token of an
    update alike."""
    kl_weight: float = 0.0
    """Of the KL divergence from the policy that the training began with; above 0 needs a second
    model in memory."""
    precision: Precision = Precision.bfloat16
    """What matrix products are computed in; weights and updates are float32."""
    gradient_checkpointing: bool = False
    """Whether to compute activations twice instead of keeping them."""
    zero_stage: int = 0
    """DeepSpeed ZeRO: 2 divides gradients and the optimizer's state between the processes, 3 the
    weights too; 0 is plain data parallelism."""
    ray: RayWorkers = field(default_factory=RayWorkers)
    """Processes that Ray Train starts."""
    max_restarts: int = 2
    """How often Ray Train starts the processes again, from the last checkpoint, after one died."""
    weights_dir: str | None = None
    """Where new weights are handed to the engines; all of them must see it. null takes the
    memory of this machine (/dev/shm)."""
    max_failure_share: float = 0.2
    """The training stops if more of an update's rollouts could not be rewarded, in [0, 1]."""
    keep_rollouts: bool = True
    """Whether every rollout is written to rollouts.jsonl with its reward. What stands there is
    not rewarded again when a training is resumed."""
    evaluate_every: int | None = None
    """Updates between evaluations on held-out problems; null evaluates at both ends only."""
    checkpoint_every: int = 10
    """Updates between checkpoints."""
    max_checkpoints: int = 2
    """How many are kept; older ones are removed."""
    report_to: Tracker = Tracker.none
    """Where metrics go beside metrics.jsonl."""

    def __post_init__(self) -> None:
        least = {
            "num_updates": 1,
            "max_generated_tokens": 1,
            "problems_per_update": 1,
            "rollouts_per_problem": 2,
            "rollouts_per_forward": 1,
            "evaluate_every": 1,
            "checkpoint_every": 1,
            "max_checkpoints": 1,
            "max_restarts": 0,
        }
        for name, minimum in least.items():
            value = getattr(self, name)
            require(
                value is None or value >= minimum,
                f"trainer.{name}",
                value,
                f"must be at least {minimum}",
            )
        share, weight, stage = self.max_failure_share, self.kl_weight, self.zero_stage
        require(0 <= share <= 1, "trainer.max_failure_share", share, "must be in [0, 1]")
        require(weight >= 0, "trainer.kl_weight", weight, "must be at least 0")
        require(stage in (0, 2, 3), "trainer.zero_stage", stage, "must be 0, 2 or 3")
        processes = max(1, self.ray.num_workers)
        require(
            self.rollouts_per_update % (processes * self.rollouts_per_forward) == 0,
            "trainer.rollouts_per_forward",
            self.rollouts_per_forward,
            f"times {processes} processes must divide the {self.rollouts_per_update} rollouts of "
            "an update (problems_per_update x rollouts_per_problem)",
        )

    @property
    def rollouts_per_update(self) -> int:
        """Over all processes."""
        return self.problems_per_update * self.rollouts_per_problem
