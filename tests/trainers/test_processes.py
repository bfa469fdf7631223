"""Several processes learn what one learns."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("accelerate")

pytestmark = pytest.mark.slow


def train(
    model: Path, labels: Path, run_dir: Path, *settings: str, num_processes: int = 1
) -> list[float]:
    launcher = [sys.executable]
    if num_processes > 1:
        torchrun = ("-m", "torch.distributed.run", "--standalone")
        launcher += [*torchrun, "--nproc-per-node", str(num_processes)]
    command = [
        *launcher,
        *("-m", "prm_search", "train-prm"),
        f"model={model}",
        f"data.path={labels}",
        f"held_out.path={labels}",
        f"run_dir={run_dir}",
        "trainer.optimizer.num_steps=8",
        "trainer.optimizer.learning_rate=1e-3",
        "trainer.tokens_per_step=800",
        "trainer.tokens_per_pack=300",
        "trainer.precision=float32",
        "trainer.checkpoint_every=5",
        *settings,
    ]
    done = subprocess.run(
        command,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert (run_dir / "model" / "model.safetensors").is_file()
    return losses(run_dir)


def losses(run_dir: Path) -> list[float]:
    lines = map(json.loads, (run_dir / "metrics.jsonl").read_text().splitlines())
    return [line["loss"] for line in lines if "loss" in line]


@pytest.fixture(scope="module")
def alone(tiny_model: Path, labels: Path, tmp_path_factory: pytest.TempPathFactory) -> list[float]:
    return train(tiny_model, labels, tmp_path_factory.mktemp("alone"))


@pytest.mark.parametrize(
    "setting", ["trainer.zero_stage=0", "trainer.zero_stage=2", "trainer.zero_stage=3"]
)
def test_two_processes_have_the_curve_of_one(
    alone: list[float], tiny_model: Path, labels: Path, tmp_path: Path, setting: str
) -> None:
    pytest.importorskip("deepspeed")
    found = train(tiny_model, labels, tmp_path, setting, num_processes=2)
    assert len(found) == 8
    assert found == pytest.approx(alone, abs=1e-3)


def test_zero_goes_on_from_its_checkpoint(
    alone: list[float], tiny_model: Path, labels: Path, tmp_path: Path
) -> None:
    pytest.importorskip("deepspeed")
    zero = "trainer.zero_stage=2"
    train(tiny_model, labels, tmp_path, zero, num_processes=2)
    last = tmp_path / "checkpoints" / "step_00000008"
    last.rename(tmp_path / "gone")
    found = train(tiny_model, labels, tmp_path, zero, num_processes=2)
    assert found == pytest.approx(alone, abs=1e-3)


@pytest.mark.ray
def test_two_workers_of_ray_have_the_curve_of_one(
    alone: list[float], tiny_model: Path, labels: Path, tmp_path: Path
) -> None:
    pytest.importorskip("ray")
    found = train(tiny_model, labels, tmp_path, "trainer.ray.num_workers=2")
    assert found == pytest.approx(alone, abs=1e-3)
