"""Whole trainings of a tiny R-PRM: what is written, going on, and what goes wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from prm_search.bootstrapping.settings import Stage
from prm_search.errors import ConfigurationError, DataError, StoreError, TrainingError
from tests.trainers.rprm_jobs import RPrmJobs, jobs, make_jobs
from trainers import rprm_callbacks
from trainers.prm_settings import LabelFiles, Lora, Optimizer, OptimizerName, Tracker
from trainers.rprm_job import TrainRPrm
from trainers.rprm_settings import AttentionName

__all__ = ["jobs"]


def run(job: TrainRPrm) -> int:
    return job.run(
        config={"model": job.model, "sft": {"is_packed": job.sft.is_packed}}, command="again"
    )


def losses(job: TrainRPrm, stage: Stage) -> list[float]:
    lines = (job.directory(stage) / "metrics.jsonl").read_text().splitlines()
    return [line["loss"] for line in map(json.loads, lines) if "loss" in line]


def weights(job: TrainRPrm, stage: Stage) -> dict[str, torch.Tensor]:
    return load_file(job.model_dir(stage) / "model.safetensors")


@pytest.fixture(scope="module")
def finished(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> RPrmJobs:
    """Jobs, the first of which is done."""
    jobs = make_jobs(tiny_model, tmp_path_factory.mktemp("rprm"))
    assert run(jobs()) == 0
    return jobs


def test_all_stages_leave_models_that_transformers_loads(finished: RPrmJobs) -> None:
    job = finished()
    start = load_file(Path(job.model) / "model.safetensors")
    for stage in (Stage.sft, Stage.dpo):
        folder = job.model_dir(stage)
        model = AutoModelForCausalLM.from_pretrained(folder)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        assert type(model).__name__ == "Qwen2ForCausalLM"
        assert tokenizer.chat_template
        assert len(losses(job, stage)) == 4
        assert not torch.equal(weights(job, stage)["model.norm.weight"], start["model.norm.weight"])
    assert not torch.equal(
        weights(job, Stage.sft)["model.norm.weight"], weights(job, Stage.dpo)["model.norm.weight"]
    )
    assert not list(job.directory(Stage.sft).glob("model/*.bin"))


def test_the_card_tells_data_and_scores(finished: RPrmJobs) -> None:
    job = finished()
    sft, dpo = (
        (job.model_dir(stage) / "README.md").read_text() for stage in (Stage.sft, Stage.dpo)
    )
    for part in (str(finished.labels), "agrees", "of right and", "validation", "verdicts that are"):
        assert part in sft
    for part in ("| beta | 0.1 |", "pairs learned", "better analysis gains more"):
        assert part in dpo


def test_what_is_learned_is_balanced_and_measured_on_other_problems(finished: RPrmJobs) -> None:
    job = finished()
    for stage in (Stage.sft, Stage.dpo):
        train, validation = (
            [
                json.loads(line)
                for line in (job.directory(stage) / f"{name}.jsonl").read_text().splitlines()
            ]
            for name in ("train", "validation")
        )
        assert train
        assert sum(row["is_right"] for row in train) * 2 == len(train)
        assert not {row["problem"] for row in train} & {row["problem"] for row in validation}


def test_packed_and_padded_rows_teach_the_same(finished: RPrmJobs, tmp_path: Path) -> None:
    padded = finished(
        sft={"is_packed": False, "attention": AttentionName.eager},
        stages=(Stage.analyses, Stage.sft),
        run_dir=str(tmp_path / "padded"),
    )
    run(padded)
    assert losses(padded, Stage.sft) == pytest.approx(losses(finished(), Stage.sft), abs=1e-5)


@pytest.mark.parametrize("optimizer", list(OptimizerName))
def test_a_killed_training_goes_on_with_the_same_losses(
    jobs: RPrmJobs,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    optimizer: OptimizerName,
) -> None:
    stages = (Stage.analyses, Stage.sft)
    sft = {"optimizer": Optimizer(name=optimizer, learning_rate=1e-3, num_steps=6)}
    whole = jobs(sft=sft, stages=stages)
    killed = jobs(sft=sft, stages=stages, run_dir=str(tmp_path / "killed"))
    assert run(whole) == 0
    log = rprm_callbacks.Observer.on_log

    def dies(self: Any, args: Any, state: Any, control: Any, **others: Any) -> None:
        if state.global_step == 5:
            raise KeyboardInterrupt
        log(self, args, state, control, **others)

    with monkeypatch.context() as patch:
        patch.setattr(rprm_callbacks.Observer, "on_log", dies)
        with pytest.raises(KeyboardInterrupt):
            run(killed)
    # A checkpoint that was being written then is not gone on from.
    torn = killed.directory(Stage.sft) / "checkpoints" / "checkpoint-5"
    torn.mkdir()
    assert run(killed) == 0
    assert not torn.exists()
    assert losses(killed, Stage.sft) == losses(whole, Stage.sft)
    assert all(
        torch.equal(weights(killed, Stage.sft)[name], value)
        for name, value in weights(whole, Stage.sft).items()
    )


def test_ctrl_c_writes_a_checkpoint_first(jobs: RPrmJobs, monkeypatch: pytest.MonkeyPatch) -> None:
    job = jobs(stages=(Stage.analyses, Stage.sft))
    end = rprm_callbacks.Observer.on_step_end

    def interrupts(self: Any, args: Any, state: Any, control: Any, **others: Any) -> None:
        if state.global_step == 3:
            self._interrupted.append(2)
        end(self, args, state, control, **others)

    with monkeypatch.context() as patch:
        patch.setattr(rprm_callbacks.Observer, "on_step_end", interrupts)
        assert run(job) == 130
    assert not job.model_dir(Stage.sft).exists()
    assert (job.directory(Stage.sft) / "checkpoints" / "checkpoint-3").is_dir()
    assert run(job) == 0
    assert len(losses(job, Stage.sft)) == 4


def test_finished_stages_are_not_done_again(finished: RPrmJobs) -> None:
    job = finished()
    num_requests = len(finished.teacher.requests) + len(finished.student.requests)
    written = [job.model_dir(stage) / "model.safetensors" for stage in (Stage.sft, Stage.dpo)]
    before = [path.stat().st_mtime_ns for path in written]
    assert run(job) == 0
    assert len(finished.teacher.requests) + len(finished.student.requests) == num_requests
    assert [path.stat().st_mtime_ns for path in written] == before


def test_stages_one_by_one_are_the_same_as_together(finished: RPrmJobs, tmp_path: Path) -> None:
    apart = finished(run_dir=str(tmp_path / "apart"))
    for stage in Stage:
        assert run(replace(apart, stages=(stage,))) == 0
    assert losses(apart, Stage.dpo) == losses(finished(), Stage.dpo)


def test_a_stage_without_the_one_before_says_which_is_missing(jobs: RPrmJobs) -> None:
    with pytest.raises(DataError, match=r"nothing of stage analyses.*stages=\[analyses,sft\]"):
        run(jobs(stages=(Stage.sft,)))
    run(jobs(stages=(Stage.analyses,)))
    with pytest.raises(DataError, match="do stage sft first"):
        run(jobs(stages=(Stage.pairs,)))


def test_another_model_is_not_gone_on_with(finished: RPrmJobs) -> None:
    other = finished(stages=(Stage.sft,))
    with pytest.raises(StoreError, match=r"model: .* -> other"):
        other.run(config={"model": "other", "sft": {"is_packed": True}}, command="again")


def test_lora_becomes_part_of_the_model(jobs: RPrmJobs) -> None:
    settings = {"lora": Lora(rank=2)}
    job = jobs(sft=settings, dpo=settings)
    assert run(job) == 0
    for stage in (Stage.sft, Stage.dpo):
        assert not [name for name in weights(job, stage) if "lora" in name]
        AutoModelForCausalLM.from_pretrained(job.model_dir(stage))


def test_a_loss_that_is_not_finite_ends_the_training(jobs: RPrmJobs) -> None:
    optimizer = Optimizer(learning_rate=1e30, num_steps=20, warmup_share=0, max_gradient_norm=1e30)
    job = jobs(sft={"optimizer": optimizer}, stages=(Stage.analyses, Stage.sft))
    with pytest.raises(TrainingError, match=r"the loss of update .* is nan"):
        run(job)
    assert not job.model_dir(Stage.sft).exists()


def test_no_analysis_that_agrees_is_said_with_the_reasons(jobs: RPrmJobs) -> None:
    jobs.teacher.accuracy = 0.0
    with pytest.raises(DataError, match=r"no analysis of any steps.*disagrees"):
        run(jobs(stages=(Stage.analyses, Stage.sft)))


def test_a_model_that_never_errs_gives_no_pairs(jobs: RPrmJobs) -> None:
    jobs.student.accuracy = 1.0
    with pytest.raises(DataError, match="no pair of analyses of any steps"):
        run(jobs())


def test_rows_that_are_all_too_long_are_refused(jobs: RPrmJobs) -> None:
    with pytest.raises(DataError, match="more than max_tokens=5 tokens"):
        run(jobs(sft={"max_tokens": 5}, stages=(Stage.analyses, Stage.sft)))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"data": LabelFiles(path=None)}, "data.path"),
        ({"data": LabelFiles(path="x", max_tokens=9)}, "data.max_tokens"),
        ({"stages": ()}, "stages must be some of analyses, sft, pairs, dpo"),
        ({"dpo": {"beta": 0.0}}, "beta must be above 0"),
        ({"sft": {"attention": AttentionName.eager}}, "is_packed=true"),
    ],
)
def test_impossible_settings_are_named(jobs: RPrmJobs, given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        jobs(**given)


def test_rows_that_cannot_be_divided_are_refused(jobs: RPrmJobs) -> None:
    with pytest.raises(ConfigurationError, match="rows_per_step must be a multiple"):
        run(jobs(sft={"rows_per_forward": 3}, stages=(Stage.analyses, Stage.sft)))


def test_a_tracker_that_is_not_installed_is_named(
    jobs: RPrmJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainers.metrics.is_wandb_available", lambda: False)
    with pytest.raises(ConfigurationError, match=r"sft\.report_to=wandb: wandb is not installed"):
        run(jobs(sft={"report_to": Tracker.wandb}, stages=(Stage.analyses, Stage.sft)))
