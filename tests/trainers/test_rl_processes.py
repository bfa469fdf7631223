"""Trainings on several processes, of which some are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

pytest.importorskip("trl")
pytest.importorskip("ray")

MAX_SECONDS = 1800
"""Of a training: a minute or two where nothing else runs. DeepSpeed compiles a part of itself
the first time."""
pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.timeout(MAX_SECONDS * 3)]

NUM_UPDATES = 6


@pytest.fixture(scope="module")
def problems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("problems") / "problems.jsonl"
    names = ("Ann", "Ben", "Cara", "Dan", "Eve")
    rows = [{"problem": f"How many shells has {name}?", "answer": "12"} for name in names]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def command(tiny_model: Path, tiny_prm: Path, problems: Path) -> Callable[..., list[str]]:
    def make(run_dir: Path, *settings: str) -> list[str]:
        return [
            *(sys.executable, "-m", "prm_search", "train-rl"),
            f"policy.model={tiny_model}",
            "policy.max_tokens=12",
            f"prm.model={tiny_prm}",
            "engine=transformers",
            "data=rows",
            f"data.path={problems}",
            "data.answer_column=answer",
            f"run_dir={run_dir}",
            f"trainer.num_updates={NUM_UPDATES}",
            "trainer.problems_per_update=3",  # a group lies across two processes
            "trainer.rollouts_per_problem=4",
            "trainer.rollouts_per_forward=6",
            "trainer.optimizer.learning_rate=1e-3",
            "trainer.precision=float32",
            "trainer.checkpoint_every=2",
            "trainer.max_failure_share=1.0",  # the tiny PRM knows a character that it cannot read
            *settings,
        ]

    return make


def run(command: list[str]) -> None:
    done = subprocess.run(
        command, env=environment(), capture_output=True, text=True, timeout=MAX_SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-2000:]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def lines(run_dir: Path) -> list[dict[str, float]]:
    path = run_dir / "metrics.jsonl"
    found: list[dict[str, float]] = []
    for text in path.read_text().splitlines() if path.exists() else ():
        try:
            found.append(json.loads(text))
        except ValueError:
            continue
    return [line for line in found if "loss" in line]


def curve(run_dir: Path) -> list[float]:
    names = ("step", "grad_norm", "prm_mean", "outcome", "tokens_per_response", "policy_version")
    return [line[name] for line in lines(run_dir) for name in names]


def check(run_dir: Path, expected: list[float]) -> None:
    assert (run_dir / "model" / "model.safetensors").is_file()
    assert curve(run_dir) == pytest.approx(expected, rel=1e-3, abs=1e-5)


@pytest.fixture(scope="module")
def alone(
    command: Callable[..., list[str]], tmp_path_factory: pytest.TempPathFactory
) -> list[float]:
    run_dir = tmp_path_factory.mktemp("alone")
    run(command(run_dir, "cluster=inprocess"))
    assert len(lines(run_dir)) == NUM_UPDATES
    return curve(run_dir)


ON_RAY = ("cluster.num_cpus=8", "trainer.ray.num_workers=2")


@pytest.mark.parametrize("zero_stage", [0, 2])
def test_two_workers_of_ray_have_the_curve_of_one_process(
    command: Callable[..., list[str]], alone: list[float], tmp_path: Path, zero_stage: int
) -> None:
    run(command(tmp_path, *ON_RAY, f"trainer.zero_stage={zero_stage}"))
    check(tmp_path, alone)
    for name in ("rollouts.jsonl", "rollouts_1.jsonl"):
        assert len((tmp_path / name).read_text().splitlines()) == NUM_UPDATES * 6


def wait_for_updates(process: subprocess.Popen[bytes], run_dir: Path, number: int) -> None:
    end = time.monotonic() + MAX_SECONDS
    while len(lines(run_dir)) < number:
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.05)


def kill_when_running(command: list[str], run_dir: Path, name: str) -> None:
    """Start a training, and kill a process of it by a part of its name after three updates."""
    process = subprocess.Popen(command, env=environment(), start_new_session=True)
    try:
        wait_for_updates(process, run_dir, 3)
        victims = [
            child
            for child in psutil.process_iter()
            if name in " ".join(_words(child)) and _belongs(child, process.pid)
        ]
        assert victims, f"no process is called {name}"
        victims[0].send_signal(signal.SIGKILL)
        process.wait(timeout=MAX_SECONDS)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _belongs(process: psutil.Process, owner: int) -> bool:
    try:
        return owner in [parent.pid for parent in process.parents()]
    except psutil.Error:
        return False


def test_a_killed_policy_comes_back_with_its_weights(
    command: Callable[..., list[str]], alone: list[float], tmp_path: Path
) -> None:
    kill_when_running(command(tmp_path, "cluster.num_cpus=8"), tmp_path, "PolicyEngineActor")
    check(tmp_path, alone)


@pytest.mark.parametrize(("num_workers", "zero_stage"), [(1, 0), (2, 2)])
def test_a_killed_worker_goes_on_after_the_last_checkpoint(
    command: Callable[..., list[str]],
    alone: list[float],
    tmp_path: Path,
    num_workers: int,
    zero_stage: int,
) -> None:
    settings = (f"trainer.ray.num_workers={num_workers}", f"trainer.zero_stage={zero_stage}")
    kill_when_running(
        command(tmp_path, "cluster.num_cpus=8", *settings), tmp_path, "RayTrainWorker"
    )
    check(tmp_path, alone)
    assert num_rollouts(tmp_path) == NUM_UPDATES * 12


def num_rollouts(run_dir: Path) -> int:
    return sum(len(path.read_text().splitlines()) for path in run_dir.glob("rollouts*.jsonl"))


def test_a_killed_trainer_is_resumed(
    command: Callable[..., list[str]], alone: list[float], tmp_path: Path
) -> None:
    arguments = command(tmp_path, "cluster=inprocess")
    process = subprocess.Popen(arguments, env=environment())
    wait_for_updates(process, tmp_path, 3)
    process.kill()
    process.wait()
    assert len(lines(tmp_path)) < NUM_UPDATES
    run(arguments)
    check(tmp_path, alone)
    assert len((tmp_path / "rollouts.jsonl").read_text().splitlines()) == NUM_UPDATES * 12


def test_ctrl_c_ends_all_workers_after_the_update_under_way(
    command: Callable[..., list[str]], alone: list[float], tmp_path: Path
) -> None:
    arguments = command(tmp_path, *ON_RAY)
    process = subprocess.Popen(
        arguments, env=environment(), stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        wait_for_updates(process, tmp_path, 2)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=MAX_SECONDS)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 130
    assert b"To go on:" in output
    num_done = len(lines(tmp_path))
    assert 2 <= num_done < NUM_UPDATES
    # A checkpoint of its own, though one is due every second update only.
    assert (tmp_path / f"checkpoints/checkpoint-{num_done}").is_dir()
    run(arguments)
    check(tmp_path, alone)
    assert num_rollouts(tmp_path) == NUM_UPDATES * 12
