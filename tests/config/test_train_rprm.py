"""`prm-search train-rprm` as it is configured: what is needed for which stage."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
from hydra.errors import HydraException

from prm_search.bootstrapping.command import rprm_job
from prm_search.bootstrapping.sandbox_critiques import SandboxCritiques
from prm_search.bootstrapping.settings import Stage
from prm_search.cli import main
from prm_search.composition import compose
from prm_search.engines import EngineFactory
from prm_search.errors import ConfigurationError
from trainers.rprm_job import TrainRPrm

GIVEN = ["model=some/model", "data.path=labels.jsonl", "cluster=inprocess"]


def built(*overrides: str) -> TrainRPrm:
    return cast("TrainRPrm", rprm_job(compose("train-rprm", overrides)))


def test_the_sandbox_experiment_is_complete() -> None:
    job = built("experiment=sandbox_rprm", "cluster=inprocess", "run_dir=runs/here")
    assert job.stages == tuple(Stage)
    assert isinstance(job.analysis, SandboxCritiques)
    assert job.sft.is_packed
    teacher, student = (
        cast("Any", factory).arguments["policy"]
        for factory in (job.engine.teacher, job.engine.generator)
    )
    assert Path(teacher.model).name == "judge"
    # Engines may run in another folder.
    assert student.model == str(Path("runs/here/sft/model").absolute())
    assert job.model_dir(Stage.sft) == Path(student.model)


def test_the_defaults_are_those_of_the_paper() -> None:
    job = built(*GIVEN, "teacher.model=some/teacher")
    assert job.bootstrap.num_analyses == 4
    assert (job.sft.optimizer.learning_rate, job.dpo.optimizer.learning_rate) == (5e-6, 5e-7)
    assert (job.sft.rows_per_step, job.sft.optimizer.num_epochs) == (128, 1.0)


def test_the_teacher_is_needed_for_its_stage_alone() -> None:
    with pytest.raises(ConfigurationError, match=r"teacher\.model is not set"):
        built(*GIVEN)
    job = built(*GIVEN, "stages=[sft,dpo]")
    assert job.stages == (Stage.sft, Stage.dpo)
    assert job.engine.teacher is None


def test_a_teacher_can_be_on_another_engine_than_the_model() -> None:
    job = built(*GIVEN, "stages=[analyses]", "engine=openai", "teacher.model=some/teacher")
    assert isinstance(job.engine.teacher, EngineFactory)
    assert job.engine.teacher.target == "actors.openai_generator.OpenAIGenerator"


def test_an_unknown_stage_is_refused() -> None:
    with pytest.raises((ConfigurationError, HydraException), match="rl"):
        built(*GIVEN, "stages=[rl]")


def test_labels_must_be_given() -> None:
    with pytest.raises(ConfigurationError, match=r"data\.path"):
        built("model=some/model", "stages=[sft]", "cluster=inprocess")


def test_help_shows_stages_and_settings(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train-rprm", "--help"]) == 0
    shown = capsys.readouterr().out
    for part in ("analyses, sft, pairs or dpo", "dpo.beta: float = 0.1", "teacher.model", "R-PRM"):
        assert part in shown
