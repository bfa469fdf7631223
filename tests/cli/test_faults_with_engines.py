"""Runs on real engines that are killed in the middle."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.vllm, pytest.mark.ray]

ROOT = Path(__file__).parents[2]
NUM_PROBLEMS = 100


def arguments(run_dir: Path, search: str) -> list[str]:
    return [
        *(sys.executable, "-m", "prm_search", "search"),
        "policy=sandbox",
        "prm=sandbox",
        "data=sandbox",
        f"data.num_problems={NUM_PROBLEMS}",
        f"search={search}",
        "max_in_flight=16",
        f"run_dir={run_dir}",
    ]


@contextmanager
def started(run_dir: Path, search: str) -> Iterator[subprocess.Popen[str]]:
    log = run_dir.with_suffix(".log").open("w")
    process = subprocess.Popen(
        arguments(run_dir, search),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=log,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        log.close()


def wait_for_records(run_dir: Path, count: int, process: subprocess.Popen[str]) -> None:
    path = run_dir / "records.jsonl"
    while not (path.exists() and path.read_bytes().count(b"\n") >= count):
        assert process.poll() is None, run_dir.with_suffix(".log").read_text()
        time.sleep(0.05)


def actors_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The processes that hold the engines and the controller."""
    children = psutil.Process(process.pid).children(recursive=True)
    return [child for child in children if "EngineActor" in " ".join(child.cmdline())]


def assert_each_problem_once(run_dir: Path) -> None:
    for name in ("records.jsonl", "results.jsonl"):
        records = [json.loads(line) for line in (run_dir / name).read_text().splitlines()]
        assert len({record["problem"] for record in records}) == len(records) == NUM_PROBLEMS
        assert [record["error"] for record in records] == [None] * NUM_PROBLEMS


def test_a_killed_driver_leaves_no_engine_running_and_the_run_resumes(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    with started(run_dir, "beam") as process:
        wait_for_records(run_dir, 30, process)
        descendants = psutil.Process(process.pid).children(recursive=True)
        process.kill()
    num_before = (run_dir / "records.jsonl").read_bytes().count(b"\n")
    assert 30 <= num_before < NUM_PROBLEMS
    _, alive = psutil.wait_procs(descendants, timeout=60)
    # Ray's own agents notice within minutes that their node is gone.
    assert [child.name() for child in alive if "Agent" not in child.name()] == []

    with started(run_dir, "beam") as process:
        assert process.wait(timeout=400) == 0
    assert f"{num_before} of {NUM_PROBLEMS} searches are done" in (tmp_path / "run.log").read_text()
    assert_each_problem_once(run_dir)


@pytest.mark.parametrize("search", ["majority", "beam"])
def test_killed_engines_are_started_again_and_their_work_is_redone(
    search: str, tmp_path: Path
) -> None:
    """Majority vote has no scorer; whatever a search has is killed, the controller included."""
    run_dir = tmp_path / "run"
    with started(run_dir, search) as process:
        wait_for_records(run_dir, 20, process)
        killed = actors_of(process)
        assert len(killed) == (2 if search == "majority" else 3)
        for actor in killed:
            actor.kill()
        assert (run_dir / "records.jsonl").read_bytes().count(b"\n") < NUM_PROBLEMS
        assert process.wait(timeout=400) == 0
    assert_each_problem_once(run_dir)


def test_ctrl_c_keeps_what_is_finished_and_the_run_resumes(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    with started(run_dir, "beam") as process:
        wait_for_records(run_dir, 20, process)
        process.send_signal(2)
        assert process.wait(timeout=120) == 130
    assert "To resume:" in (tmp_path / "run.log").read_text()

    with started(run_dir, "beam") as process:
        assert process.wait(timeout=400) == 0
    assert_each_problem_once(run_dir)
