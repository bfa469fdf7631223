"""The label command in processes of its own, driven by fake engines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "prm_search", "label"]
NUM_PROBLEMS = 60
ALL = [f"p{number}" for number in range(NUM_PROBLEMS)]


def settings(tmp_path: Path, *more: str) -> list[str]:
    """A run of the consensus annotator on problems with some bad rows between them."""
    rows = [
        {"id": name, "problem": f"{number} + 1", "answer": str(number + 1)}
        for number, name in enumerate(ALL)
    ]
    (tmp_path / "problems.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return [
        "--config-dir",
        str(ROOT / "tests/labeling/conf"),
        "engine=fake",
        "data=rows",
        f"data.path={tmp_path}/problems.jsonl",
        "data.id_column=id",
        "data.answer_column=answer",
        "num_responses=4",
        "max_in_flight=6",
        "label=consensus",
        *more,
    ]


def label(
    arguments: Sequence[str], cwd: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=cwd,
        env={**_environment(), **environment},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


@contextmanager
def started(
    arguments: Sequence[str], cwd: Path, **environment: str
) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=cwd,
        env={**_environment(), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for_records(run_dir: Path, count: int, process: subprocess.Popen[str]) -> None:
    path = run_dir / "records.jsonl"
    end = time.monotonic() + 150
    while not (path.exists() and path.read_bytes().count(b"\n") >= count):
        if process.poll() is not None or time.monotonic() > end:
            process.kill()
            pytest.fail(f"{path} has not reached {count} records:\n{process.communicate()[0]}")
        time.sleep(0.01)


def records(run_dir: Path, name: str = "results.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run_dir / name).read_text().splitlines()]


def outcome(run_dir: Path) -> dict[str, bytes]:
    """What a run ends with, but for the clock: results and data set."""
    files = [run_dir / "results.jsonl", *sorted((run_dir / "dataset").iterdir())]
    return {path.name: path.read_bytes() for path in files}


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120"}
