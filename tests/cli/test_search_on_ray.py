"""Searches by several controllers on Ray, driven by fake engines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

pytest.importorskip("ray")

pytestmark = pytest.mark.ray

ROOT = Path(__file__).parents[2]
NUM_PROBLEMS = 60


def arguments(folder: Path, *more: str) -> list[str]:
    rows = (
        json.dumps({"id": f"p{number}", "problem": f"{number} + 1", "answer": str(number + 1)})
        for number in range(NUM_PROBLEMS)
    )
    (folder / "problems.jsonl").write_text("\n".join(rows))
    return [
        *(sys.executable, "-m", "prm_search", "search"),
        *("--config-dir", str(ROOT / "tests/controller/conf"), "engine=fake", "data=rows"),
        *("data.path=problems.jsonl", "data.id_column=id", "data.answer_column=answer"),
        *("~search", "+search@methods.beam=beam", "+search@methods.majority=majority"),
        *("max_in_flight=12", "run_dir=run", *more),
    ]


def started(command: list[str], folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> None:
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output


def controllers(process: subprocess.Popen[str]) -> list[psutil.Process]:
    children = psutil.Process(process.pid).children(recursive=True)
    return [child for child in children if "ray::Controller" in " ".join(child.cmdline())]


def test_a_run_by_two_controllers_one_of_which_is_killed_has_the_bytes_of_one_in_this_process(
    tmp_path: Path,
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "ray").mkdir()
    finish(started(arguments(tmp_path / "here", "cluster=inprocess"), tmp_path / "here"))
    slots = [f"cluster.{role}.num_cpus=0.25" for role in ("policy", "prm")]
    command = arguments(tmp_path / "ray", "cluster.controller.replicas=2", *slots)
    process = started(command, tmp_path / "ray")
    try:
        path = tmp_path / "ray/run/records.jsonl"
        while not (path.exists() and path.read_bytes().count(b"\n") >= 10):
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.02)
        both = controllers(process)
        assert len(both) == 2
        both[0].kill()
        finish(process)
    finally:
        process.kill()
    here, there = (tmp_path / name / "run/results.jsonl" for name in ("here", "ray"))
    assert without_attempts(there) == without_attempts(here)


def without_attempts(path: Path) -> list[dict[str, object]]:
    """Records but for how often a problem was tried."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(rows) == 2 * NUM_PROBLEMS
    return [{**row, "num_attempts": None} for row in rows]
