"""The settings of the two trainings of an R-PRM, without importing torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from prm_search.model_settings import require
from trainers.prm_settings import Lora, Optimizer, Precision, Tracker


class AttentionName(StrEnum):
    """What computes attention, as Transformers calls it."""

    auto = "auto"
    eager = "eager"
    sdpa = "sdpa"
    flash_attention_2 = "flash_attention_2"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finetuning:
    """How a language model is trained, whatever on."""

    optimizer: Optimizer = field(default_factory=lambda: Optimizer(learning_rate=5e-6))
    """How the model is updated. Once over the rows at 5e-6 is R-PRM's recipe for SFT."""
    rows_per_step: int = 128
    """Rows that an update learns from, over all processes. 128 is R-PRM's."""
    rows_per_forward: int = 8
    """Rows that a process computes in one forward. Fewer need less memory; an update then adds up
    the gradients of several forwards. Rows of similar length are taken together."""
    max_tokens: int = 4096
    """Longer rows, message and analysis together, are left out and counted in the card."""
    precision: Precision = Precision.bfloat16
    """What matrix products are computed in; weights and updates are float32."""
    gradient_checkpointing: bool = True
    """Whether to compute activations twice instead of keeping them."""
    attention: AttentionName = AttentionName.auto
    """What computes attention; eager is the fastest for very small models on a CPU. Packing has
    an attention of its own."""
    lora: Lora = field(default_factory=Lora)
    """Low-rank adapters instead of all weights."""
    checkpoint_every: int = 200
    """Updates between checkpoints, and between evaluations on validation rows."""
    max_checkpoints: int = 2
    """How many are kept; older ones are removed."""
    keeps_best: bool = True
    """Whether the model that is written is that of the evaluation with the lowest loss, as the
    authors of R-PRM did, rather than the last."""
    num_checked: int = 100
    """Validation steps on which the finished model writes one analysis each, greedily, for the
    share of right verdicts in its card; at least 0."""
    report_to: Tracker = Tracker.none
    """Where metrics go beside metrics.jsonl."""

    def __post_init__(self) -> None:
        counts = (
            "rows_per_step",
            "rows_per_forward",
            "max_tokens",
            "checkpoint_every",
            "max_checkpoints",
        )
        for name in counts:
            require(getattr(self, name) >= 1, name, getattr(self, name), "must be at least 1")
        require(self.num_checked >= 0, "num_checked", self.num_checked, "must be at least 0")

    def num_forwards(self, num_processes: int) -> int:
        """Forwards of each process in an update.

        Raises:
            ConfigurationError: if the rows of an update cannot be divided so.
        """
        together = self.rows_per_forward * num_processes
        require(
            self.rows_per_step % together == 0,
            "rows_per_step",
            self.rows_per_step,
            f"must be a multiple of rows_per_forward times processes, {together}",
        )
        return self.rows_per_step // together


@dataclass(frozen=True, kw_only=True, slots=True)
class AnalysisTuning(Finetuning):
    """How a language model is trained on analyses that agree with their labels."""

    is_packed: bool = True
    """Whether the rows of a forward stand one behind another, without padding and without seeing
    each other. False pads them, for models whose attention cannot be replaced."""

    def __post_init__(self) -> None:
        Finetuning.__post_init__(self)
        require(
            not self.is_packed or self.attention is AttentionName.auto,
            "attention",
            str(self.attention),
            "must be auto beside is_packed=true, which has an attention of its own",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class PreferenceTuning(Finetuning):
    """How a language model is trained on pairs of analyses."""

    optimizer: Optimizer = field(default_factory=lambda: Optimizer(learning_rate=5e-7))
    """How the model is updated. Once over the pairs at 5e-7 is R-PRM's recipe for DPO."""
    beta: float = 0.1
    """How strongly the model is held to where it began: DPO's beta, above 0. R-PRM's is not
    known; 0.1 is TRL's default."""

    def __post_init__(self) -> None:
        Finetuning.__post_init__(self)
        require(self.beta > 0, "beta", self.beta, "must be above 0")
