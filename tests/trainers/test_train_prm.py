"""Whole trainings of a tiny PRM: resuming, what is written, and what goes wrong."""

from __future__ import annotations

import json
import os
import resource
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForTokenClassification, AutoTokenizer, LlamaConfig
from transformers import LlamaForCausalLM as Llama

from prm_search.errors import ConfigurationError, StoreError, TrainingError
from prm_search.prms.verdict_tokens import VerdictTokens
from trainers import metrics, prm_loop
from trainers.checkpoints import Checkpoints
from trainers.prm_job import TrainPrm
from trainers.prm_settings import (
    LabelFiles,
    Lora,
    Loss,
    Objective,
    OptimizerName,
    Precision,
    Tracker,
)

MakeJob = Callable[..., TrainPrm]


def run(job: TrainPrm) -> int:
    return job.run(config={"model": job.model}, command="prm-search train-prm …")


def lines(job: TrainPrm) -> list[dict[str, float]]:
    return list(map(json.loads, (Path(job.run_dir) / "metrics.jsonl").read_text().splitlines()))


def losses(job: TrainPrm) -> list[float]:
    return [line["loss"] for line in lines(job) if "loss" in line]


def weights(job: TrainPrm) -> dict[str, torch.Tensor]:
    return load_file(Path(job.model_dir) / "model.safetensors")


def elsewhere(job: TrainPrm, tmp_path: Path, name: str) -> TrainPrm:
    return replace(job, run_dir=str(tmp_path / name), model_dir=str(tmp_path / name / "model"))


@contextmanager
def largest_file(num_bytes: int) -> Generator[None, None, None]:
    """No file can grow larger, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


@pytest.mark.parametrize("optimizer", list(OptimizerName))
def test_a_killed_training_goes_on_bit_by_bit(
    make_job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimizer: OptimizerName
) -> None:
    settings = {"name": optimizer, "num_steps": 8}
    trainer = {"precision": Precision.bfloat16}
    whole = make_job(trainer, settings)
    assert run(whole) == 0
    killed = elsewhere(whole, tmp_path, "killed")
    update = prm_loop.Loop._update

    def dies(self: prm_loop.Loop, step: int) -> prm_loop.Update:
        if step == 6:
            raise KeyboardInterrupt
        return update(self, step)

    with monkeypatch.context() as patch:
        patch.setattr(prm_loop.Loop, "_update", dies)
        with pytest.raises(KeyboardInterrupt):
            run(killed)
    assert len(losses(killed)) == 5  # of which those after the checkpoint are done again
    assert run(killed) == 0
    assert losses(killed) == losses(whole)
    assert all(torch.equal(weights(killed)[name], value) for name, value in weights(whole).items())


def test_it_learns_to_tell_right_from_wrong_steps(make_job: MakeJob, labels: Path) -> None:
    job = make_job(
        {"evaluate_every": 40, "tokens_per_step": 2000},
        {"num_steps": 80, "learning_rate": 3e-3},
        held_out=LabelFiles(path=str(labels)),
    )
    assert run(job) == 0
    assert losses(job)[-1] < 0.1 < losses(job)[0]
    assert [line["step"] for line in lines(job) if "f1" in line] == [40, 80]
    assert lines(job)[-1]["f1"] > 0.95
    card = (Path(job.model_dir) / "README.md").read_text()
    for part in (
        "monte_carlo",
        "| threshold | 0.5 |",
        "| F1 |",
        str(labels),
        'step_tag="<extra_0>"',
    ):
        assert part in card


def test_a_head_on_qwen2_has_the_layout_that_vllm_serves(make_job: MakeJob) -> None:
    job = make_job()
    run(job)
    config = json.loads((Path(job.model_dir) / "config.json").read_text())
    assert config["architectures"] == ["Qwen2ForProcessRewardModel"]
    assert (config["model_type"], config["dtype"]) == ("qwen2", "float32")
    heads = {name for name in weights(job) if not name.startswith("model.")}
    assert heads == {"score.0.weight", "score.0.bias", "score.2.weight", "score.2.bias"}
    assert not list(Path(job.run_dir).rglob("*.bin"))


def test_a_head_on_another_model_is_a_token_classifier(
    make_job: MakeJob, tiny_model: Path, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    folder = tmp_path / "llama"
    Llama(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
        )
    ).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    job = make_job(model=str(folder))
    run(job)
    model = AutoModelForTokenClassification.from_pretrained(job.model_dir)
    assert type(model).__name__ == "LlamaForTokenClassification"
    assert model.config.id2label == {0: "wrong", 1: "right"}
    torch.testing.assert_close(model.score.weight.detach(), weights(job)["score.weight"])


def test_a_trained_prm_can_be_trained_further(make_job: MakeJob, tmp_path: Path) -> None:
    first = make_job()
    run(first)
    further = elsewhere(replace(first, model=first.model_dir), tmp_path, "further")
    run(further)
    assert losses(further)[0] < losses(first)[0]


def test_verdict_tokens_keep_the_language_model(make_job: MakeJob, tiny_model: Path) -> None:
    job = make_job(family=VerdictTokens(tag="<extra_0>"))
    run(job)
    before = load_file(tiny_model / "model.safetensors")
    assert weights(job).keys() == before.keys()
    assert not torch.equal(
        weights(job)["model.embed_tokens.weight"], before["model.embed_tokens.weight"]
    )
    config = json.loads((Path(job.model_dir) / "config.json").read_text())
    assert config["architectures"] == ["Qwen2ForCausalLM"]


def test_lora_is_merged_and_leaves_embeddings_alone(
    make_job: MakeJob, tiny_model: Path, tmp_path: Path
) -> None:
    job = make_job({"lora": Lora(rank=4, alpha=8, dropout=0.1)}, {"num_steps": 6})
    run(job)
    before = load_file(tiny_model / "model.safetensors")
    embeddings, matrix = "model.embed_tokens.weight", "model.layers.0.mlp.up_proj.weight"
    assert torch.equal(weights(job)[embeddings], before[embeddings])
    difference = weights(job)[matrix] - before[matrix]
    assert 0 < torch.linalg.matrix_rank(difference, atol=1e-6) <= 4
    further = elsewhere(replace(job, model=job.model_dir), tmp_path, "further")
    run(further)
    assert losses(further)[0] < losses(job)[0]


@pytest.mark.parametrize("loss", [Loss.mse, Loss.soft_cross_entropy])
def test_soft_losses_go_down(make_job: MakeJob, loss: Loss) -> None:
    job = make_job({"tokens_per_step": 4000}, {"num_steps": 20}, objective=Objective(loss=loss))
    run(job)
    assert losses(job)[-1] < losses(job)[0]


def test_small_packs_change_the_curve_by_rounding_alone(make_job: MakeJob, tmp_path: Path) -> None:
    whole, cut = make_job({"tokens_per_pack": 4000}), make_job({"tokens_per_pack": 200})
    cut = elsewhere(cut, tmp_path, "cut")
    run(whole)
    run(cut)
    assert losses(cut) == pytest.approx(losses(whole), abs=1e-4)


def test_checkpointed_activations_change_the_curve_by_rounding_alone(
    make_job: MakeJob, tmp_path: Path
) -> None:
    plain = make_job()
    again = elsewhere(make_job({"gradient_checkpointing": True}), tmp_path, "again")
    run(plain)
    run(again)
    assert losses(again) == pytest.approx(losses(plain), abs=1e-5)


def test_a_loss_that_is_not_finite_keeps_the_last_checkpoint(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job()
    summed_loss = prm_loop.summed_loss
    calls = 0

    def poisoned(*arguments) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return summed_loss(*arguments) * (float("nan") if calls > 8 else 1)

    monkeypatch.setattr(prm_loop, "summed_loss", poisoned)
    with pytest.raises(TrainingError, match=r"the loss of update \d is nan"):
        run(job)
    latest = Checkpoints(Path(job.run_dir) / "checkpoints", max_checkpoints=2).latest()
    assert latest is not None
    kept = load_file(latest / "weights.safetensors")
    assert all(weight.isfinite().all() for weight in kept.values())


def test_a_full_disk_keeps_the_last_checkpoint(make_job: MakeJob) -> None:
    job = make_job()
    run(job)
    longer = replace(
        job, trainer=replace(job.trainer, optimizer=replace(job.trainer.optimizer, num_steps=9))
    )
    with (
        largest_file(50_000),
        pytest.raises(TrainingError, match=r"the last one is .*step_00000006.*Make room"),
    ):
        run(longer)
    folder = Path(job.run_dir) / "checkpoints"
    assert sorted(os.listdir(folder)) == ["step_00000003", "step_00000006"]
    assert run(longer) == 0
    assert len(losses(longer)) == 9


def test_a_full_disk_keeps_the_model_that_is_there(make_job: MakeJob) -> None:
    job = make_job()
    run(job)
    before = weights(job)
    with largest_file(50_000), pytest.raises(TrainingError, match="cannot write the model"):
        run(job)
    assert weights(job).keys() == before.keys()


def test_old_checkpoints_are_removed(make_job: MakeJob) -> None:
    job = make_job({"checkpoint_every": 1, "max_checkpoints": 2})
    run(job)
    folder = Path(job.run_dir) / "checkpoints"
    assert sorted(os.listdir(folder)) == ["step_00000005", "step_00000006"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_keeps_what_is_done(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    job = make_job({"checkpoint_every": 100})
    write = metrics.MetricsLog.write

    def interrupted(self: metrics.MetricsLog, step: int, values: dict[str, float]) -> None:
        write(self, step, values)
        if step == 2 and not self._path.with_name("once").exists():
            self._path.with_name("once").touch()
            signal.raise_signal(number)

    monkeypatch.setattr(metrics.MetricsLog, "write", interrupted)
    assert run(job) == 130
    assert len(losses(job)) == 2
    assert run(job) == 0
    assert len(losses(job)) == 6


def test_another_configuration_in_the_same_folder_is_refused(make_job: MakeJob) -> None:
    job = make_job()
    run(job)
    with pytest.raises(StoreError, match=r"seed: .*1"):
        job.run(config={"model": job.model, "seed": 1}, command="")


def test_a_tracker_that_is_not_installed_is_named(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "is_wandb_available", lambda: False)
    with pytest.raises(ConfigurationError, match="wandb is not installed"):
        run(make_job({"report_to": Tracker.wandb}))


def test_metrics_go_to_tensorboard(make_job: MakeJob) -> None:
    pytest.importorskip("tensorboardX")
    job = make_job({"report_to": Tracker.tensorboard}, {"num_steps": 2})
    assert run(job) == 0
    assert list(Path(job.run_dir).rglob("events.out.tfevents.*"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"zero_stage": 2}, "must be adamw beside ZeRO"),
        ({"zero_stage": 1}, "must be 0, 2 or 3"),
        ({"tokens_per_pack": 0}, "trainer.tokens_per_pack must be at least 1"),
    ],
)
def test_impossible_settings_are_refused(make_job: MakeJob, given, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make_job(given, {"name": OptimizerName.muon})
