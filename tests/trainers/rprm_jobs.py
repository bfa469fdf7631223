"""Jobs that train a tiny R-PRM in seconds, with a teacher made by hand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from actors.inprocess import InProcessCluster
from prm_search.bootstrapping.analysis_source import StepAnalyses
from prm_search.bootstrapping.settings import Bootstrap
from prm_search.data.stepwise import write_stepwise
from prm_search.engines import Engines
from prm_search.prms.sandbox_rprm import SandboxRPrm
from tests.bootstrapping.fake_teacher import FakeTeacher, row
from trainers.prm_job import WeightsDtype
from trainers.prm_settings import LabelFiles, Optimizer, Precision
from trainers.rprm_job import TrainRPrm
from trainers.rprm_settings import AnalysisTuning, PreferenceTuning

COMMON: dict[str, Any] = {
    "rows_per_step": 8,
    "rows_per_forward": 4,
    "precision": Precision.float32,
    "gradient_checkpointing": False,
    "checkpoint_every": 2,
    "num_checked": 4,
}


@dataclass
class RPrmJobs:
    """Makes jobs; what is given replaces the defaults."""

    model: Path
    labels: Path
    run_dir: Path
    teacher: FakeTeacher
    student: FakeTeacher

    def __call__(
        self,
        sft: dict[str, Any] | None = None,
        dpo: dict[str, Any] | None = None,
        **given: Any,
    ) -> TrainRPrm:
        fields: dict[str, Any] = {
            "model": str(self.model),
            "data": LabelFiles(path=str(self.labels)),
            "analysis": StepAnalyses(family=SandboxRPrm()),
            "engine": Engines(generator=lambda: self.student, teacher=lambda: self.teacher),
            "cluster": InProcessCluster(),
            "bootstrap": Bootstrap(num_analyses=2, validation_share=0.3),
            "sft": AnalysisTuning(**_tuning(1e-3, sft)),
            "dpo": PreferenceTuning(**_tuning(1e-4, dpo)),
            "weights_dtype": WeightsDtype.float32,
            "run_dir": str(self.run_dir),
        }
        return TrainRPrm(**fields | given)


def _tuning(rate: float, given: dict[str, Any] | None) -> dict[str, Any]:
    optimizer: Any = Optimizer(learning_rate=rate, num_steps=4)
    return {**COMMON, "optimizer": optimizer, **(given or {})}


def make_jobs(model: Path, folder: Path) -> RPrmJobs:
    """Jobs on labels of 24 problems."""
    labels = folder / "labels.jsonl"
    write_stepwise(
        labels, [row(number, *[True] * (number % 3), number % 4 == 0) for number in range(24)]
    )
    return RPrmJobs(
        model=model,
        labels=labels,
        run_dir=folder / "run",
        teacher=FakeTeacher(accuracy=0.9),
        student=FakeTeacher(accuracy=0.6),
    )


@pytest.fixture
def jobs(tiny_model: Path, tmp_path: Path) -> RPrmJobs:
    """Jobs of one test."""
    return make_jobs(tiny_model, tmp_path)
