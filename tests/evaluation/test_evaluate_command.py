"""`prm-search evaluate`, driven by fake engines."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from prm_search.composition import compose
from prm_search.errors import ConfigurationError, StoreError
from prm_search.evaluation.evaluator import evaluate
from prm_search.evaluation.job import evaluation_job
from prm_search.evaluation.report import read_evaluation
from prm_search.evaluation.samples import Samples
from prm_search.fakes import FakeJudge, FakeScorer
from prm_search.grading import GraderSettings
from prm_search.store import RunStore
from tests.evaluation.cases import GUESS, cases

ROOT = Path(__file__).parents[2]
CONF = Path(__file__).parent / "conf"
BASE = ["--config-dir", str(CONF), "engine=fakes", "cluster=inprocess"]


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "prm_search", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "140"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def write_processbench(folder: Path, num_rows: int = 20) -> None:
    for subset in ("easy", "hard"):
        rows = [
            {
                "id": f"{subset}-{number}",
                "generator": "hand",
                "problem": f"What is {number} + 1?",
                "steps": ["Take 1 and add 2.", GUESS if number % 2 else "Add 3.", "Done."],
                "final_answer_correct": number % 4 != 3,
                "label": 1 if number % 2 else -1,
            }
            for number in range(num_rows)
        ]
        folder.mkdir(exist_ok=True)
        (folder / f"{subset}.json").write_text(json.dumps(rows))


def test_processbench_from_the_command_line_to_the_report(tmp_path: Path) -> None:
    write_processbench(tmp_path / "bench")
    bench = ["benchmark=processbench", f"benchmark.path={tmp_path}/bench"]
    done = run("evaluate", *BASE, *bench, "prm.model=a/fine-prm", "run_dir=one", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "threshold 0.5" in done.stdout
    found = json.loads((tmp_path / "one/evaluation.json").read_text())
    assert found["model"] == "a/fine-prm"
    assert found["threshold"] == 0.5
    assert found["is_complete"]
    assert [item["name"] for item in found["first_errors"]["subsets"]] == ["easy", "hard"]
    assert found["first_errors"]["mean_f1"]["value"] == 1
    assert found["bias"][-1]["num_right_but_flawed"] == 10
    assert "unweighted mean" in found["rules"]["first_errors"]

    judged = run(
        "evaluate",
        *BASE,
        *bench,
        "subject=judge",
        "judge.model=a/judge",
        "judge.temperature=1",
        "num_votes=5",
        "run_dir=two",
        cwd=tmp_path,
    )
    assert judged.returncode == 0, judged.stdout + judged.stderr
    again = run("evaluate", "report", "one", "two", "-o", "both.html", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "judge, 5 votes" in again.stdout
    other = run("evaluate", "report", "one", "--threshold", "0.05", cwd=tmp_path)
    assert "threshold 0.05" in other.stdout
    assert json.loads((tmp_path / "one/evaluation.json").read_text())["threshold"] == 0.5
    page = (tmp_path / "both.html").read_text()
    assert "a/fine-prm" in page
    assert "a/judge (judge)" in page
    assert "<svg" in page
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")


def test_a_killed_evaluation_ends_with_the_results_of_an_undisturbed_one(tmp_path: Path) -> None:
    write_processbench(tmp_path / "bench", num_rows=150)
    command = [
        "evaluate",
        *BASE,
        "benchmark=processbench",
        f"benchmark.path={tmp_path}/bench",
        "prm.model=a/b",
        "engine.scorer.latency=0.05",
        "max_in_flight=4",
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "prm_search", *command, "run_dir=killed"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    records = tmp_path / "killed/records.jsonl"
    for _ in range(600):
        if records.exists() and records.read_bytes().count(b"\n") > 20:
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = records.read_bytes().count(b"\n")
    assert 0 < before < 300
    shown = run("evaluate", "report", "killed", cwd=tmp_path)
    assert "unfinished" in shown.stdout
    resumed = run(*command, "run_dir=killed", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert "Resuming" in resumed.stdout
    fresh = run(*command, "engine.scorer.latency=0", "run_dir=fresh", cwd=tmp_path)
    assert fresh.returncode == 0, fresh.stderr
    first, second = (tmp_path / name / "results.jsonl" for name in ("killed", "fresh"))
    assert first.read_bytes() == second.read_bytes()


def test_best_of_n_and_bias_on_the_samples_of_a_run(tmp_path: Path) -> None:
    drawn = run(
        "search",
        *BASE,
        "data=sandbox",
        "data.num_problems=10",
        "search=best_of_n",
        "search.num_samples=6",
        "policy.model=a/policy",
        "prm.model=a/sampled-prm",
        "run_dir=samples",
        cwd=tmp_path,
    )
    assert drawn.returncode == 0, drawn.stdout + drawn.stderr
    samples = ["benchmark=best_of_n", f"benchmark.run_dir={tmp_path}/samples"]
    scored = run("evaluate", *BASE, *samples, "prm.model=a/b", "run_dir=scored", cwd=tmp_path)
    assert scored.returncode == 0, scored.stdout + scored.stderr
    recorded = run("evaluate", *BASE, *samples, "subject=recorded", "run_dir=kept", cwd=tmp_path)
    assert recorded.returncode == 0, recorded.stdout + recorded.stderr
    assert "Starting" not in recorded.stdout
    first, second = (
        json.loads((tmp_path / name / "evaluation.json").read_text()) for name in ("scored", "kept")
    )
    assert second["model"] == "a/sampled-prm"
    assert first["best_of_n"]["num_samples"] == 6
    assert accuracies(first) == accuracies(second)  # the fake PRM scores alike, whoever asks
    assert {point["method"] for point in first["best_of_n"]["points"]} == {
        *("pass", "majority", "min", "product", "last", "mean")
    }
    # The fake policy writes no sandbox steps, so the oracle finds an error in each first step.
    assert first["first_errors"] is not None
    page = run("evaluate", "report", "scored", "kept", cwd=tmp_path)
    assert page.returncode == 0
    assert (tmp_path / "evaluation.html").exists()


def accuracies(evaluation: Mapping[str, object]) -> object:
    points = evaluation["best_of_n"]["points"]  # pyright: ignore
    return [(point["method"], point["k"], point["accuracy"]) for point in points]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["benchmark=sandbox", "engine=transformers"], "prm.model is not set"),
        (
            ["benchmark=sandbox", "engine=transformers", "subject=judge"],
            "judge.model is not set",
        ),
        (["prm.model=a/b"], "benchmark is not set"),
        (["benchmark=sandbox", "subject=recorded"], "needs the samples of a run"),
        (["benchmark=sandbox", "prm.model=a/b", "threshold=2"], r"threshold must be in \[0, 1\]"),
        (["benchmark=sandbox", "prm.model=a/b", "num_votes=3"], "num_votes is for subject=judge"),
        (
            ["benchmark=sandbox", "subject=judge", "judge.model=a/b", "num_votes=3"],
            "all critiques are the same",
        ),
        (["benchmark=sandbox", "prm.model=a/b", "+foo=1"], "no such setting: foo"),
    ],
)
def test_an_impossible_evaluation_is_refused(overrides: list[str], message: str) -> None:
    config = compose("evaluate", ["engine=fakes", "cluster=inprocess", *overrides], config_dir=CONF)
    with pytest.raises(ConfigurationError, match=message):
        evaluation_job(config)


def test_a_directory_without_an_evaluation_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="holds no evaluation"):
        read_evaluation(tmp_path)


def test_a_run_without_truth_is_refused_for_the_bias_report(tmp_path: Path) -> None:
    root = {"id": 0, "parent": None, "text": "", "num_tokens": 0, "stop_reason": None}
    record = {
        "method": "majority",
        "problem": "p",
        "seed": 0,
        "prompt": "1 + 1?",
        "reference": "2",
        "metadata": {},
        "candidates": [{"is_correct": False, "num_tokens": 1, "scores": None}],
        "tree": {
            "nodes": [
                root,
                {"id": 1, "parent": 0, "text": "3", "num_tokens": 1, "stop_reason": "end"},
            ]
        },
    }
    (tmp_path / "results.jsonl").write_text(json.dumps(record) + "\n")
    bench = Samples(run_dir=str(tmp_path), needs_truth=True)
    with pytest.raises(ConfigurationError, match="nobody knows which steps"):
        asyncio.run(bench.load(GraderSettings()))
    (case,) = asyncio.run(Samples(run_dir=str(tmp_path)).load(GraderSettings())).cases
    assert (case.id, case.is_right, case.truth) == ("p/0", False, None)


async def test_failures_are_no_scores_and_transient_ones_are_asked_again(tmp_path: Path) -> None:
    items = cases(6)
    config = {
        "subject": "prm",
        "threshold": 0.5,
        "num_votes": 1,
        "seed": 0,
        "prm": {"model": "m"},
        "benchmark": {"_target_": "x.ProcessBench"},
    }
    broken = FakeScorer(failing_problems=frozenset({items[0].trajectory.problem.id}))
    with RunStore(tmp_path, config=config) as store:
        totals = await evaluate(
            items, subject="prm", scorer=broken, judge=None, store=store, max_retries=0
        )
    assert totals.num_failed == 1
    unfinished = read_evaluation(tmp_path, num_resamples=50)
    assert not unfinished.is_complete
    assert unfinished.num_cases == 5
    nan = FakeScorer(failure_rate=1.0)
    with RunStore(tmp_path, config=config) as store:
        totals = await evaluate(items, subject="prm", scorer=nan, judge=None, store=store)
        store.write_results([])
    assert totals.num_problems == 6
    found = read_evaluation(tmp_path, num_resamples=50)
    assert found.is_complete
    assert found.failures == {"ScoringError": 1}
    assert json.loads(json.dumps(found.to_json()))["failures"] == {"ScoringError": 1}
    assert found.first_errors is not None
    assert found.first_errors.subsets[0].num_without_verdict == 1


async def test_what_a_judge_wrote_is_kept_but_not_in_memory(tmp_path: Path) -> None:
    items = cases(3)
    with RunStore(tmp_path, config={}) as store:
        await evaluate(
            items,
            subject="judge",
            scorer=None,
            judge=FakeJudge(failure_rate=0.3),
            num_votes=4,
            store=store,
        )
        assert all("responses" not in head for head in store.heads("judge", 0))
    records = [json.loads(line) for line in (tmp_path / "records.jsonl").open()]
    for record in records:
        readable = [verdict for verdict in record["verdicts"] if "failure" not in verdict]
        assert len(record["verdicts"]) == 4
        assert len(record["responses"]) == len(readable)
