"""What an evaluation consists of, and how it is built from a composed configuration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, cast

from omegaconf import DictConfig

from prm_search.budget import Role
from prm_search.building import build_part, engine_factory, refuse_unknown, require_complete
from prm_search.engines import Cluster, Engine
from prm_search.errors import ConfigurationError
from prm_search.evaluation.case import Benchmark
from prm_search.evaluation.samples import Samples
from prm_search.grading import GraderSettings


class Subject(StrEnum):
    """What is evaluated."""

    prm = "prm"
    """The scores of a PRM."""
    judge = "judge"
    """The verdicts of a judge."""
    recorded = "recorded"
    """The scores that the samples of a run came with. No engine is started."""


ROLES = {Subject.prm: Role.PRM, Subject.judge: Role.JUDGE}
_PARTS = {Subject.prm: "scorer", Subject.judge: "judge"}


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationJob:
    """A PRM or a judge, and what it is evaluated on."""

    subject: Subject = Subject.prm
    """What is evaluated. With recorded, the scores that a run's samples came with are taken."""
    prm: object = None
    """The model that scores steps, if that is evaluated. The engine refers to it."""
    judge: object = None
    """The model that writes critiques, if that is evaluated. The engine refers to it."""
    engine: Callable[[], Engine] | None = None
    """What runs the model."""
    cluster: Cluster
    """Where it runs: how many replicas, with which resources."""
    benchmark: Benchmark
    """What is evaluated on."""
    threshold: float = 0.5
    """The first step that scores below it is the predicted error. Judges have no use for it. It is
    printed with every number; one that was chosen on the benchmark itself makes them worthless."""
    num_votes: int = 1
    """Critiques that a judge writes about each solution; the majority counts."""
    grader: GraderSettings = field(default_factory=GraderSettings)
    """How answers of samples are found and compared."""
    seed: int = 0
    """Every random choice derives from it: critiques, random subsets and intervals."""
    max_in_flight: int = 256
    """Solutions judged at the same time, at least 1."""
    max_retries: int = 2
    """How often a solution is tried again after an engine failed on it."""
    run_dir: str
    """Where the evaluation is written. Giving that of an earlier one resumes it."""

    def __post_init__(self) -> None:
        for name, least in (("max_in_flight", 1), ("max_retries", 0), ("num_votes", 1)):
            if getattr(self, name) < least:
                raise ConfigurationError(
                    f"{name} must be at least {least}, not {getattr(self, name)}"
                )
        if not 0 <= self.threshold <= 1:
            raise ConfigurationError(f"threshold must be in [0, 1], not {self.threshold}")
        if self.num_votes > 1 and self.subject is not Subject.judge:
            raise ConfigurationError(f"num_votes is for subject=judge, not {self.subject}")
        if self.subject is Subject.recorded and not isinstance(self.benchmark, Samples):
            raise ConfigurationError(
                "subject=recorded needs the samples of a run: benchmark=best_of_n or bias"
            )


def evaluation_job(config: DictConfig) -> EvaluationJob:
    """The job that a composed configuration describes.

    The model that is not evaluated is left out and may be incomplete.

    Raises:
        ConfigurationError: if the configuration is incomplete or impossible.
    """
    refuse_unknown(config, EvaluationJob)
    subject = cast("Subject", config.subject)
    parts = ("cluster", "benchmark", "grader")
    part = _PARTS.get(subject)
    require_complete(config, *([f"engine.{part}"] if part else []), *parts, "run_dir")
    if part and config.engine.get(part) is None:
        raise ConfigurationError(f"this engine cannot run a {subject}; choose another engine")
    if subject is Subject.judge and config.num_votes > 1 and config.judge.get("temperature") == 0:
        raise ConfigurationError(
            f"num_votes={config.num_votes}: at judge.temperature=0 all critiques are the same; "
            "raise it (ProcessBench votes at 1.0)"
        )
    built = cast("dict[str, Any]", {name: build_part(config, name) for name in parts})
    return EvaluationJob(
        **built,
        subject=subject,
        engine=engine_factory(config.engine[part], part) if part else None,
        **{
            name: config[name]
            for name in (
                *("threshold", "num_votes", "seed", "max_in_flight", "max_retries", "run_dir"),
            )
        },
    )
