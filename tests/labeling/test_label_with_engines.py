"""Labeling the sandbox with real engines, some of which are killed in the middle."""

from __future__ import annotations

import subprocess
from pathlib import Path

import psutil
import pytest

from tests.labeling.label_command import records, started, wait_for_records

pytestmark = [pytest.mark.slow, pytest.mark.vllm, pytest.mark.ray]

NUM_PROBLEMS = 40
GIVEN = [
    "experiment=label_demo",
    f"data.num_problems={NUM_PROBLEMS}",
    "num_responses=4",
    "max_in_flight=8",
    "run_dir=run",
]


def actors(process: subprocess.Popen[str], role: str) -> list[psutil.Process]:
    children = psutil.Process(process.pid).children(recursive=True)
    return [child for child in children if f"ray::{role}" in " ".join(child.cmdline())]


def assert_complete(run_dir: Path) -> None:
    for name in ("records.jsonl", "results.jsonl"):
        rows = records(run_dir, name)
        assert len({row["problem"] for row in rows}) == len(rows) == NUM_PROBLEMS
        assert [row["error"] for row in rows] == [None] * NUM_PROBLEMS
        samples = [len(row["responses"]) + len(row["set_aside"]) for row in rows]
        assert samples == [4] * NUM_PROBLEMS
    assert (run_dir / "dataset/README.md").exists()


def test_killed_engines_and_controllers_are_started_again_and_their_work_is_redone(
    tmp_path: Path,
) -> None:
    run_dir = tmp_path / "run"
    with started(GIVEN, tmp_path) as process:
        for count, role in ((4, "Controller"), (8, "Judge"), (14, "Policy")):
            wait_for_records(run_dir, count, process)
            (actor,) = actors(process, role)
            actor.kill()
        output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output
    assert_complete(run_dir)


def test_a_killed_driver_leaves_no_engine_running_and_the_run_resumes(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    with started(GIVEN, tmp_path) as process:
        wait_for_records(run_dir, 10, process)
        descendants = psutil.Process(process.pid).children(recursive=True)
        process.kill()
    _, alive = psutil.wait_procs(descendants, timeout=60)
    # Ray's own agents notice within minutes that their node is gone.
    assert [child.name() for child in alive if "Agent" not in child.name()] == []
    with started(GIVEN, tmp_path) as process:
        output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output
    assert "problems are done" in output
    assert_complete(run_dir)
