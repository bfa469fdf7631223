"""The whole command, in processes of its own, driven by fake engines."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "prm_search"]
NUM_PROBLEMS = 100


@pytest.fixture
def settings(tmp_path: Path) -> list[str]:
    rows = (
        json.dumps({"id": f"p{number}", "problem": f"{number} + 1", "answer": str(number + 1)})
        for number in range(NUM_PROBLEMS)
    )
    (tmp_path / "problems.jsonl").write_text("\n".join(rows))
    return [
        "search",
        "--config-dir",
        str(ROOT / "tests/controller/conf"),
        "engine=fake",
        "cluster=inprocess",
        "data=rows",
        f"data.path={tmp_path}/problems.jsonl",
        "data.id_column=id",
        "data.answer_column=answer",
        "search=beam",
        "search.num_beams=8",
        "max_in_flight=10",
    ]


def run(arguments: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120"}


@contextmanager
def started(arguments: list[str], cwd: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=cwd,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for_records(run_dir: Path, count: int) -> None:
    path = run_dir / "records.jsonl"
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if path.exists() and path.read_bytes().count(b"\n") >= count:
            return
        time.sleep(0.01)
    pytest.fail(f"{path} has not reached {count} records")


def problems(run_dir: Path, name: str = "records.jsonl") -> list[str]:
    return [json.loads(line)["problem"] for line in (run_dir / name).read_text().splitlines()]


ALL = [f"p{number}" for number in range(NUM_PROBLEMS)]


def test_a_run_writes_its_directory_and_nothing_else(settings: list[str], tmp_path: Path) -> None:
    done = run([*settings, "engine.generator.latency=0"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"problems.jsonl", "runs"}
    (run_dir,) = (tmp_path / "runs").iterdir()
    assert {path.name for path in run_dir.iterdir()} == {
        "config.yaml",
        "lock",
        "manifest.json",
        "metrics.jsonl",
        "records.jsonl",
        "report.html",
        "results.jsonl",
    }
    assert f"Report: runs/{run_dir.name}/report.html" in done.stdout
    assert problems(run_dir, "results.jsonl") == ALL
    again = run(["report", str(run_dir)], tmp_path)
    assert again.returncode == 0
    assert "beam" in again.stdout


def test_what_a_method_costs_does_not_depend_on_those_before_it(
    settings: list[str], tmp_path: Path
) -> None:
    settings = [item for item in settings if not item.startswith("search")]
    methods = ["~search", "+search@methods.first=best_of_n", "+search@methods.second=best_of_n"]
    fast = ["engine.generator.latency=0", "+engine.scorer.reuses_prefixes=true"]
    done = run(["search", *settings, *methods, *fast, "run_dir=run"], tmp_path)
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "run/results.jsonl").read_text().splitlines()
    costs = [json.loads(line)["usage"]["prm"]["scored_tokens"] for line in lines]
    assert costs[:NUM_PROBLEMS] == costs[NUM_PROBLEMS:]
    assert all(cost > 0 for cost in costs)


def test_a_run_that_was_killed_and_resumed_is_byte_identical_to_an_undisturbed_one(
    settings: list[str], tmp_path: Path
) -> None:
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    assert run([*settings, f"run_dir={undisturbed}"], tmp_path).returncode == 0
    for count in (15, 40):
        with started([*settings, f"run_dir={killed}"], tmp_path) as process:
            wait_for_records(killed, count)
            process.send_signal(signal.SIGKILL)
    assert len(problems(killed)) < NUM_PROBLEMS
    resumed = run([*settings, f"run_dir={killed}", "max_in_flight=3"], tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert "Resuming" in resumed.stdout
    assert sorted(problems(killed)) == sorted(ALL)
    assert (killed / "results.jsonl").read_bytes() == (undisturbed / "results.jsonl").read_bytes()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_finishes_what_is_in_flight_and_says_how_to_resume(
    settings: list[str], tmp_path: Path, number: signal.Signals
) -> None:
    run_dir = tmp_path / "run"
    with started([*settings, f"run_dir={run_dir}"], tmp_path) as process:
        wait_for_records(run_dir, 15)
        process.send_signal(number)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in output
    assert not (run_dir / "results.jsonl").exists()
    finished = problems(run_dir)
    assert 15 <= len(finished) < NUM_PROBLEMS
    found = re.search(r"(\d+) of 100 searches are finished.*\n  prm-search (.*)", output)
    assert found
    assert int(found.group(1)) == len(finished)
    resumed = run(shlex.split(found.group(2)), tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert sorted(problems(run_dir)) == sorted(ALL)


def test_a_second_signal_ends_at_once(settings: list[str], tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    slow = ["engine.generator.latency=0.05", "engine.generator.num_steps=2000"]
    with started([*settings, f"run_dir={run_dir}", *slow, "search.max_steps=2000"], tmp_path) as p:
        lines = iter(p.stdout.readline, "") if p.stdout else iter(())
        assert any("beam: 100 problems" in line for line in lines)
        p.send_signal(signal.SIGINT)
        assert any("Ctrl-C again ends at once" in line for line in lines)
        p.send_signal(signal.SIGTERM)
        output, _ = p.communicate(timeout=20)
    assert p.returncode == 130
    assert "Traceback" not in output


def test_another_configuration_in_the_same_directory_is_refused(
    settings: list[str], tmp_path: Path
) -> None:
    quick = [*settings, "run_dir=run", "engine.generator.latency=0", "data.limit=3"]
    assert run(quick, tmp_path).returncode == 0
    refused = run([*quick, "search.num_beams=4"], tmp_path)
    assert refused.returncode == 1
    assert "search.num_beams: 8 -> 4" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_run_whose_searches_all_fail_says_so(settings: list[str], tmp_path: Path) -> None:
    failing = ["engine.generator.failing_problems=[p0,p1]", "data.limit=2", "max_retries=0"]
    done = run([*settings, *failing, "run_dir=run"], tmp_path)
    assert done.returncode == 1
    assert "2 failed" in done.stdout


def test_multirun_gives_each_combination_a_folder_and_resumes(
    settings: list[str], tmp_path: Path
) -> None:
    quick = [*settings, "engine.generator.latency=0", "data.limit=3", "run_dir=sweep"]
    done = run([*quick, "--multirun", "seed=0,1", "search=beam,dvts"], tmp_path)
    assert done.returncode == 2  # dvts has no num_beams: nothing has been started
    assert not list(tmp_path.glob("sweep/*/records.jsonl"))
    quick.remove("search.num_beams=8")
    done = run([*quick, "--multirun", "seed=0,1", "search=beam,dvts"], tmp_path)
    assert done.returncode == 0, done.stderr
    names = {path.parent.name for path in tmp_path.glob("sweep/*/results.jsonl")}
    assert names == {f"search={name},seed={seed}" for name in ("beam", "dvts") for seed in (0, 1)}
    again = run([*quick, "--multirun", "seed=0,1", "search=beam,dvts"], tmp_path)
    assert again.returncode == 0
    assert again.stdout.count("3 of 3 searches are done") == 4
