"""The settings of PRM training, without importing torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from prm_search.data.formats import FORMATS
from prm_search.model_settings import require


class Loss(StrEnum):
    """What is minimised at each labeled step."""

    cross_entropy = "cross_entropy"
    mse = "mse"
    soft_cross_entropy = "soft_cross_entropy"


class OptimizerName(StrEnum):
    """How weights are updated."""

    adamw = "adamw"
    muon = "muon"


class Precision(StrEnum):
    """What matrix products are computed in."""

    bfloat16 = "bfloat16"
    float32 = "float32"


class Tracker(StrEnum):
    """Where metrics go beside metrics.jsonl."""

    none = "none"
    tensorboard = "tensorboard"
    wandb = "wandb"


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelFiles:
    """Labeled solutions in files."""

    path: str | None = None
    """A JSON Lines, JSON or Parquet file, or a pattern such as 'labels/*.jsonl'."""
    format: str = "trl"
    """trl (TRL's stepwise rows, and ours), math_shepherd, prm800k or processbench."""
    sources: tuple[str, ...] = ()
    """Use only labels from these sources (monte_carlo, judge, human, …); empty means all."""
    max_tokens: int | None = None
    """Leave out longer solutions; None means what fits into the model and into a forward."""
    limit: int | None = None
    """Take at most so many solutions."""
    skip_unusable: bool = False
    """Whether rows that cannot be used are counted and left out, instead of being an error."""

    def __post_init__(self) -> None:
        formats = ", ".join(FORMATS)
        require(self.format in FORMATS, "data.format", self.format, f"must be one of {formats}")
        for name in ("max_tokens", "limit"):
            value = getattr(self, name)
            require(value is None or value >= 1, f"data.{name}", value, "must be at least 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class Objective:
    """What is learned at each labeled step, up to and including the first wrong one."""

    loss: Loss = Loss.cross_entropy
    """cross_entropy learns the hard labels; mse and soft_cross_entropy learn the soft ones."""
    wrong_weight: float = 1.0
    """Weight of wrong steps in the mean; of a soft label v, wrong has the part 1 - v."""
    right_weight: float = 1.0
    """Weight of right steps in the mean."""

    def __post_init__(self) -> None:
        for name in ("wrong_weight", "right_weight"):
            value = getattr(self, name)
            require(value > 0, f"objective.{name}", value, "must be above 0")


@dataclass(frozen=True, kw_only=True, slots=True)
class Optimizer:
    """How the model is updated."""

    name: OptimizerName = OptimizerName.adamw
    """muon updates matrices with Muon and the rest with AdamW; made for very small models."""
    learning_rate: float = 1e-5
    """Peak, reached after the warm-up."""
    num_epochs: float = 1.0
    """How often every solution is seen, if num_steps is null."""
    num_steps: int | None = None
    """Updates; null means as many as num_epochs needs."""
    warmup_share: float = 0.03
    """Share in [0, 1] of the updates over which the rate rises."""
    decay_share: float = 1.0
    """Share in [0, 1] of the updates, at the end, over which the rate falls to zero."""
    weight_decay: float = 0.01
    """Of matrices; biases, norms and embeddings have none."""
    beta1: float = 0.9
    """AdamW's decay of the mean of gradients."""
    beta2: float = 0.95
    """AdamW's decay of the mean of their squares."""
    max_gradient_norm: float = 1.0
    """Longer gradients are scaled down to this norm."""

    def __post_init__(self) -> None:
        rate = self.learning_rate
        require(rate > 0, "trainer.optimizer.learning_rate", rate, "must be above 0")
        require(
            self.num_epochs > 0, "trainer.optimizer.num_epochs", self.num_epochs, "must be above 0"
        )
        steps = self.num_steps
        require(
            steps is None or steps >= 1, "trainer.optimizer.num_steps", steps, "must be at least 1"
        )
        for name in ("warmup_share", "decay_share"):
            share = getattr(self, name)
            require(0 <= share <= 1, f"trainer.optimizer.{name}", share, "must be in [0, 1]")
        norm = self.max_gradient_norm
        require(norm > 0, "trainer.optimizer.max_gradient_norm", norm, "must be above 0")

    def rate(self, step: int, num_steps: int) -> float:
        """Learning rate of a 1-based update: linear warm-up, constant, linear decay."""
        warm = min(1.0, step / max(1.0, self.warmup_share * num_steps))
        left = (num_steps - step + 1) / max(1.0, self.decay_share * num_steps)
        return self.learning_rate * warm * min(1.0, left)


@dataclass(frozen=True, kw_only=True, slots=True)
class Lora:
    """Low-rank adapters beside all matrices; merged into them in the model that is written."""

    rank: int = 0
    """0 trains the whole model."""
    alpha: float = 32.0
    """The adapters are scaled by alpha / rank."""
    dropout: float = 0.0
    """Of what goes into the adapters, in [0, 1)."""

    def __post_init__(self) -> None:
        require(self.rank >= 0, "trainer.lora.rank", self.rank, "must be at least 0")
        dropout = self.dropout
        require(0 <= dropout < 1, "trainer.lora.dropout", dropout, "must be at least 0, below 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class RayWorkers:
    """Processes that Ray Train starts."""

    num_workers: int = 0
    """0 trains in this process, or in those that torchrun has started."""
    num_cpus: float = 1.0
    """Of each worker."""
    num_gpus: float = 0.0
    """Of each worker."""

    def __post_init__(self) -> None:
        for name in ("num_workers", "num_cpus", "num_gpus"):
            value = getattr(self, name)
            require(value >= 0, f"trainer.ray.{name}", value, "must be at least 0")


@dataclass(frozen=True, kw_only=True, slots=True)
class Trainer:
    """How a model is trained."""

    optimizer: Optimizer = field(default_factory=Optimizer)
    """How the model is updated."""
    tokens_per_step: int = 65_536
    """Tokens that an update learns from, over all processes."""
    tokens_per_pack: int = 16_384
    """Tokens that a process computes in one forward. Less needs less memory; an update then
    adds up the gradients of several forwards."""
    precision: Precision = Precision.bfloat16
    """What matrix products are computed in; weights and updates are float32."""
    gradient_checkpointing: bool = False
    """Whether to compute activations twice instead of keeping them."""
    lora: Lora = field(default_factory=Lora)
    """Low-rank adapters instead of all weights."""
    zero_stage: int = 0
    """DeepSpeed ZeRO: 2 divides gradients and the optimizer's state between the processes, 3 the
    weights too; 0 is plain data parallelism."""
    ray: RayWorkers = field(default_factory=RayWorkers)
    """Processes that Ray Train starts."""
    evaluate_every: int | None = None
    """Updates between evaluations on held-out solutions; null evaluates at the end only."""
    checkpoint_every: int = 500
    """Updates between checkpoints."""
    max_checkpoints: int = 2
    """How many are kept; older ones are removed."""
    report_to: Tracker = Tracker.none
    """Where metrics go beside metrics.jsonl."""

    def __post_init__(self) -> None:
        counts = (
            "tokens_per_step",
            "tokens_per_pack",
            "evaluate_every",
            "checkpoint_every",
            "max_checkpoints",
        )
        for name in counts:
            value = getattr(self, name)
            require(value is None or value >= 1, f"trainer.{name}", value, "must be at least 1")
        stage = self.zero_stage
        require(stage in (0, 2, 3), "trainer.zero_stage", stage, "must be 0, 2 or 3")
        require(
            not (stage and self.optimizer.name is OptimizerName.muon),
            "trainer.optimizer.name",
            "muon",
            "must be adamw beside ZeRO, which divides matrices",
        )
        require(
            not (stage == 3 and self.lora.rank),
            "trainer.zero_stage",
            stage,
            "must be 0 or 2 beside lora, whose adapters are merged on one process",
        )
