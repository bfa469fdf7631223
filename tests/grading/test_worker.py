from __future__ import annotations

import contextlib
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from prm_search.errors import EngineError
from prm_search.grading import pool
from prm_search.grading.worker import compare

SWALLOWING_WORKER = """
import sys
from prm_search.grading import worker

def compare(first, second):
    blocks = []
    try:
        while True:
            blocks.append(bytearray(1 << 24))
    except Exception:
        return "different"

worker.compare = compare
worker.serve(sys.stdin, sys.stdout, max_seconds=5.0, max_memory=512 << 20)
"""


def test_a_swallowed_memory_error_is_not_believed() -> None:
    process = subprocess.run(
        [sys.executable, "-c", SWALLOWING_WORKER],
        input='["1", "2"]\n["1", "2"]\n',
        capture_output=True,
        cwd=Path(__file__).parents[2],
        text=True,
        timeout=60,
        check=True,
    )
    assert process.stdout.split() == ["ready", "memory"]  # and no second answer


def test_a_worker_imports_nothing_heavy() -> None:
    program = (
        "import sys; sys.argv = ['worker.py', '5', '1024']; sys.stdin.close()\n"
        "from prm_search.grading import worker\n"
        "worker.compare('1', '2')\n"
        "heavy = {'ray', 'torch', 'vllm', 'transformers', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run(
        [sys.executable, "-c", program], cwd=Path(__file__).parents[2], timeout=60, check=True
    )


def test_compare_has_three_outcomes() -> None:
    assert compare("1/2", "0.5") == "equal"
    assert compare("1", "2") == "different"
    assert compare("1", r"\frac{1") == "unreadable"


def test_a_worker_that_cannot_start_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
    with pytest.raises(EngineError, match="could not start"):
        pool.Worker(max_seconds=1.0, max_memory_mib=512)
    # A python without math-verify: without site-packages, in the words of the import error.
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {Path(sys.base_prefix) / "bin" / "python3"} -I -S "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(EngineError, match=r"math_verify.*check that math-verify"):
        pool.Worker(max_seconds=1.0, max_memory_mib=512)


def test_many_open_files_do_not_matter() -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limits[1] < 2048:
        pytest.skip("no more than 2048 files may be open here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(limits[0], 2048), limits[1]))
    with contextlib.ExitStack() as files:
        files.callback(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        for _ in range(1200):  # select() would fail above 1024
            files.enter_context(open("/dev/null"))
        worker = pool.Worker(max_seconds=5.0, max_memory_mib=1024)
        assert worker.compare("1/2", "0.5") is pool.Comparison.equal
        worker.close()
