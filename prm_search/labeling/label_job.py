"""What a labeling job consists of, and how it is built from a composed configuration."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

from omegaconf import DictConfig

from prm_search.budget import Role
from prm_search.building import build_part, engine_factory, refuse_unknown, require_complete
from prm_search.data import ProblemLoader
from prm_search.engines import Cluster, Engines
from prm_search.errors import ConfigurationError
from prm_search.grading import GraderSettings
from prm_search.labeling.annotation import Annotator
from prm_search.labeling.decontamination import Decontamination


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelJob:
    """Step labels for responses to a set of problems."""

    policy: object = None
    """The model that writes the responses, and how it samples. The engine refers to it."""
    completer: object = None
    """The model that completes prefixes, if it is not the policy: policy@completer=NAME."""
    judge: object = None
    """The model that looks for the first wrong step. Started if an annotator needs it."""
    engine: Engines
    """What runs the models."""
    cluster: Cluster
    """Where they run: how many replicas, with which resources."""
    data: ProblemLoader
    """The problems."""
    label: Annotator
    """Where labels come from."""
    num_responses: int = 8
    """Responses that are sampled for each problem, at least 1."""
    grader: GraderSettings = field(default_factory=GraderSettings)
    """How answers are found and compared."""
    decontamination: Decontamination = field(default_factory=Decontamination)
    """Which problems are left out of the dataset because they are in evaluation sets."""
    seed: int = 0
    """Every random choice derives from it."""
    max_in_flight: int = 64
    """Problems labeled at the same time, at least 1; all their responses are labeled side by
    side. More fill the engines better and need more memory."""
    max_retries: int = 2
    """How often a problem is tried again after an engine failed on it."""
    run_dir: str
    """Where the run is written. Giving that of an earlier run resumes it."""

    def __post_init__(self) -> None:
        for name, minimum in (("num_responses", 1), ("max_in_flight", 1), ("max_retries", 0)):
            value = getattr(self, name)
            if value < minimum:
                raise ConfigurationError(f"{name} must be at least {minimum}, not {value}")


def label_job(config: DictConfig, *, name: str) -> LabelJob:
    """The job that a composed configuration describes.

    Engines that the annotator does not need are left out and may be incomplete.

    Args:
        name: of the annotator, for messages.

    Raises:
        ConfigurationError: if the configuration is incomplete or impossible.
    """
    refuse_unknown(config, LabelJob)
    config = config.copy()
    require_complete(config, "label")
    annotator = cast("Annotator", build_part(config, "label"))
    roles = ["generator"]
    if config.completer is not None:
        _check_completer(config, annotator, name)
        roles.append("completer")
    if Role.JUDGE in annotator.needs:
        roles.append("judge")
    parts = ("cluster", "data", "grader", "decontamination")
    require_complete(config, *(f"engine.{role}" for role in roles), *parts, "run_dir")
    built = cast("dict[str, Any]", {part: build_part(config, part) for part in parts})
    return LabelJob(
        **built,
        engine=Engines(**{role: engine_factory(config.engine[role], role) for role in roles}),
        label=annotator,
        num_responses=config.num_responses,
        seed=config.seed,
        max_in_flight=config.max_in_flight,
        max_retries=config.max_retries,
        run_dir=config.run_dir,
    )


def _check_completer(config: DictConfig, annotator: Annotator, name: str) -> None:
    if not isinstance(config.completer, DictConfig):
        raise ConfigurationError(
            f"completer={config.completer}: a completer is a policy; name it by "
            f"policy@completer={config.completer}"
        )
    if Role.POLICY not in annotator.needs:
        raise ConfigurationError(
            f"label={name} completes no prefixes, so it has no use for a completer; leave "
            "policy@completer out"
        )
