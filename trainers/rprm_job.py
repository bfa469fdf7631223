"""`prm-search train-rprm`: what a training of an R-PRM consists of, without importing torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from prm_search.bootstrapping.analysis_source import AnalysisSource
from prm_search.bootstrapping.settings import Bootstrap, Preferences, Stage
from prm_search.engines import Cluster, Engines
from prm_search.errors import ConfigurationError
from prm_search.model_settings import require
from trainers.prm_job import WeightsDtype
from trainers.prm_settings import LabelFiles
from trainers.rprm_settings import AnalysisTuning, PreferenceTuning


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainRPrm:
    """The training of an R-PRM: a language model that analyses a step before it judges it."""

    model: str
    """The language model to start from: a folder, or a name on the Hugging Face Hub."""
    data: LabelFiles = field(default_factory=LabelFiles)
    """Labeled steps. Soft labels above 0 count as right."""
    analysis: AnalysisSource
    """How models are asked about a step, and how their analyses are read."""
    teacher: object = None
    """The stronger model that writes the first analyses, and how it samples. The engine refers
    to it."""
    policy: object = None
    """The R-PRM itself while it writes analyses for pairs, and how it samples. The engine refers
    to it."""
    engine: Engines
    """What runs the models that write analyses."""
    cluster: Cluster
    """Where they run."""
    stages: tuple[Stage, ...] = tuple(Stage)
    """Those that are done now. A later one needs what the earlier ones have left in run_dir."""
    bootstrap: Bootstrap = field(default_factory=Bootstrap)
    """Which steps are analysed, and what becomes of the analyses."""
    sft: AnalysisTuning = field(default_factory=AnalysisTuning)
    """How the model learns the analyses that agree with the labels."""
    preferences: Preferences = field(default_factory=Preferences)
    """How pairs are made."""
    dpo: PreferenceTuning = field(default_factory=PreferenceTuning)
    """How the model learns to prefer the better analysis of each pair."""
    system_prompt: str | None = None
    """None leaves the system prompt to the chat template. Give prm.system_prompt the same."""
    weights_dtype: WeightsDtype = WeightsDtype.bfloat16
    """How the weights of the finished models are stored."""
    seed: int = 0
    """Every random choice derives from it."""
    max_in_flight: int = 64
    """Problems whose steps are analysed at the same time, at least 1."""
    max_retries: int = 2
    """How often a problem is tried again after an engine failed on it."""
    run_dir: str
    """Where everything is written. Giving that of an earlier run goes on with it."""

    def __post_init__(self) -> None:
        require(bool(self.model.strip()), "model", self.model, "must be a folder or a name")
        require(self.data.path is not None, "data.path", None, "must be a file of labels")
        require(
            self.data.max_tokens is None,
            "data.max_tokens",
            self.data.max_tokens,
            "must be null: sft.max_tokens and dpo.max_tokens are what counts here",
        )
        require(bool(self.stages), "stages", [], f"must be some of {', '.join(Stage)}")
        for name, minimum in (("max_in_flight", 1), ("max_retries", 0)):
            value = getattr(self, name)
            require(value >= minimum, name, value, f"must be at least {minimum}")

    def directory(self, stage: Stage) -> Path:
        """Where a stage is written."""
        return Path(self.run_dir) / stage

    def model_dir(self, stage: Stage) -> Path:
        """Where a training writes its model."""
        return self.directory(stage) / "model"

    def run(self, *, config: Mapping[str, object], command: str) -> int:
        """Do the stages, or go on where the run directory exists.

        Args:
            config: what the job was built from, as plain values; recorded in the run directory.
            command: what starts the same in the same run directory.

        Returns:
            0 if it came to its end, 130 if it was interrupted.

        Raises:
            PrmSearchError: if it cannot be done.
        """
        try:
            from trainers.rprm import run_stages
        except ImportError as error:
            raise ConfigurationError(
                f"training needs more packages: {error}; pip install 'prm-search[train]'"
            ) from error
        return run_stages(self, config=config, command=command)
