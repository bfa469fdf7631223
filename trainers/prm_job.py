"""`prm-search train-prm`: what a training of a PRM consists of, without importing torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from prm_search.errors import ConfigurationError
from prm_search.model_settings import require
from prm_search.prms.family import PrmFamily
from trainers.prm_settings import LabelFiles, Objective, Trainer

MAY_DIFFER = (
    "run_dir",
    "model_dir",
    "weights_dtype",
    "threshold",
    "held_out",
    "trainer.ray",
    "trainer.evaluate_every",
    "trainer.checkpoint_every",
    "trainer.max_checkpoints",
    "trainer.report_to",
)
"""Settings that a resumed training may change, because the weights do not depend on them."""


class WeightsDtype(StrEnum):
    """How the weights of the finished model are stored."""

    bfloat16 = "bfloat16"
    float32 = "float32"


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainPrm:
    """The training of a PRM."""

    model: str
    """What to start from, a language model or a PRM: a folder, or a name on the Hugging Face
    Hub."""
    family: PrmFamily
    """How the PRM reads steps: with a head at a tag, or with a verdict as the next token."""
    system_prompt: str | None = None
    """None leaves the system prompt to the chat template. Give prm.system_prompt the same."""
    data: LabelFiles = field(default_factory=LabelFiles)
    """What is learned."""
    held_out: LabelFiles = field(default_factory=LabelFiles)
    """Solutions on which first errors are looked for; none if its path is null."""
    objective: Objective = field(default_factory=Objective)
    """What is learned at each labeled step, up to and including the first wrong one."""
    trainer: Trainer = field(default_factory=Trainer)
    """How the model is trained."""
    threshold: float = 0.5
    """A step that scores below it is held to be wrong, in evaluations and in the card."""
    weights_dtype: WeightsDtype = WeightsDtype.bfloat16
    """How the weights of the finished model are stored."""
    seed: int = 0
    """Every random choice derives from it."""
    run_dir: str
    """Where checkpoints and metrics are written. Giving that of an earlier run resumes it."""
    model_dir: str
    """Where the finished model is written."""

    def __post_init__(self) -> None:
        require(bool(self.model.strip()), "model", self.model, "must be a folder or a name")
        require(0 <= self.threshold <= 1, "threshold", self.threshold, "must be in [0, 1]")
        require(self.data.path is not None, "data.path", None, "must be a file of labels")

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
            if self.trainer.ray.num_workers:
                from trainers.ray_workers import run_on_ray

                return run_on_ray(self, config=config, command=command)
            from trainers.prm import run_here

            return run_here(self, config=config, command=command)
        except ImportError as error:
            raise ConfigurationError(
                f"training needs more packages: {error}; pip install 'prm-search[train]'"
            ) from error
