"""prm-search label from end to end, on fake engines."""

from __future__ import annotations

import json
import re
import shlex
import signal
from pathlib import Path

import pyarrow.parquet
import pytest

from prm_search.cli import main
from tests.labeling.label_command import (
    ALL,
    NUM_PROBLEMS,
    label,
    outcome,
    records,
    settings,
    started,
    wait_for_records,
)

FAST = ("cluster=inprocess", "engine.generator.latency=0", "engine.judge.latency=0")


def test_a_run_ends_with_results_and_a_dataset_in_which_every_response_is_accounted_for(
    tmp_path: Path,
) -> None:
    done = label(settings(tmp_path, *FAST), tmp_path)
    assert done.returncode == 0, done.stderr
    (run_dir,) = (tmp_path / "runs").iterdir()
    assert {path.name for path in tmp_path.iterdir()} == {"problems.jsonl", "runs"}
    assert re.search(r"consensus: 60/60, kept [\d.]+%, labels [\d.]+% positive", done.stdout)
    assert f"Dataset: runs/{run_dir.name}/dataset" in done.stdout

    results = records(run_dir)
    assert [row["problem"] for row in results] == ALL
    responses = [response for row in results for response in row["responses"]]
    set_aside = [item for row in results for item in row["set_aside"]]
    assert len(responses) + len(set_aside) == 4 * NUM_PROBLEMS
    kept = [response for response in responses if response["rejection"] is None]
    reasons = {response["rejection"]["kind"] for response in responses if response["rejection"]}
    assert reasons == {"unfinished", "unreadable", "disagreement"}
    assert {item["kind"] for item in set_aside} >= {"empty"}

    rows = [json.loads(line) for line in (run_dir / "dataset/train.jsonl").open()]
    assert {row["id"] for row in rows} == {response["id"] for response in kept}
    assert pyarrow.parquet.read_table(run_dir / "dataset/train.parquet").num_rows == len(rows)
    card = (run_dir / "dataset/README.md").read_text()
    for reason in (*reasons, "empty"):
        assert f"`{reason}`" in card


@pytest.mark.parametrize("annotator", ["monte_carlo", "monte_carlo_soft", "witness_sharing"])
def test_annotators_without_a_judge_start_none(annotator: str, tmp_path: Path) -> None:
    broken = ["engine.judge._target_=prm_search.fakes.NoSuchJudge", "data.limit=4"]
    done = label(settings(tmp_path, *FAST, *broken, f"label={annotator}", "run_dir=run"), tmp_path)
    assert done.returncode == 0, done.stderr
    assert all("judge" not in row["usage"] for row in records(tmp_path / "run"))


def test_a_completer_of_its_own_writes_the_rollouts(tmp_path: Path) -> None:
    given = [
        "policy@completer=sandbox",
        "engine.completer.latency=0",
        "engine.completer.truncation_rate=1",
        "label=monte_carlo",
        "data.limit=4",
        "run_dir=run",
    ]
    done = label(settings(tmp_path, *FAST, *given), tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Starting policy and completer" in done.stdout
    card = (tmp_path / "run/dataset/README.md").read_text()
    assert re.search(r"Rollouts by how they ended: `cut_off` \d+\.", card)


def test_bad_problems_are_counted_by_reason_and_the_others_labeled(tmp_path: Path) -> None:
    given = settings(tmp_path, *FAST, "run_dir=run", "label=monte_carlo")
    rows = [
        {"id": "a", "problem": "1 + 1", "answer": "2"},
        {"id": "a", "problem": "1 + 2", "answer": "3"},
        {"id": "b", "problem": "", "answer": "3"},
        {"id": "c", "problem": "1 + 3", "answer": None},
    ]
    (tmp_path / "problems.jsonl").write_text("\n".join(map(json.dumps, rows)))
    done = label(given, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "2 rows of the data were set aside" in done.stdout
    assert len((tmp_path / "run/set_aside.jsonl").read_text().splitlines()) == 2
    errors = [row["error"] and row["error"]["kind"] for row in records(tmp_path / "run")]
    assert errors == [None, "no_reference_answer"]
    card = (tmp_path / "run/dataset/README.md").read_text()
    assert "problem failed: `no_reference_answer` | 1 |" in card


def test_a_run_in_which_every_problem_fails_says_so(tmp_path: Path) -> None:
    failing = ["engine.generator.failing_problems=[p0,p1]", "data.limit=2", "max_retries=0"]
    done = label(settings(tmp_path, *FAST, *failing, "run_dir=run"), tmp_path)
    assert done.returncode == 1
    assert "2 failed" in done.stdout
    again = label(
        settings(tmp_path, *FAST, "data.limit=2", "max_retries=0", *failing, "run_dir=run"),
        tmp_path,
    )
    assert "Resuming" not in again.stdout  # transient failures are tried again
    assert len(records(tmp_path / "run")) == 2


def test_evaluation_problems_are_left_out_and_listed(tmp_path: Path) -> None:
    (tmp_path / "test.jsonl").write_text(json.dumps({"problem": "3 + 1"}))
    given = ["decontamination.files=[test.jsonl]", "data.limit=6", "run_dir=run"]
    done = label(settings(tmp_path, *FAST, *given), tmp_path)
    assert done.returncode == 0, done.stderr
    removed = records(tmp_path / "run/dataset", "removed.jsonl")
    assert [row["problem_id"] for row in removed] == ["p3"]
    missing = label(settings(tmp_path, "decontamination.files=[nothing.jsonl]"), tmp_path)
    assert missing.returncode == 1
    assert "nothing.jsonl" in missing.stderr
    assert "Starting" not in missing.stdout


def test_ctrl_c_finishes_what_is_in_flight_and_says_how_to_resume(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    slow = settings(tmp_path, "cluster=inprocess", f"run_dir={run_dir}", "max_in_flight=4")
    with started(slow, tmp_path) as process:
        wait_for_records(run_dir, 5, process)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in output
    assert not (run_dir / "dataset").exists()
    assert main(["report", str(run_dir)]) == 0  # a data set of what is finished
    assert len((run_dir / "dataset/train.jsonl").read_text().splitlines()) > 0
    found = re.search(r"(\d+) of 60 problems are finished.*\n  prm-search label (.*)", output)
    assert found
    resumed = label(shlex.split(found.group(2)), tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert sorted(row["problem"] for row in records(run_dir)) == sorted(ALL)


def test_a_run_killed_twice_and_resumed_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    given = settings(tmp_path, "cluster=inprocess")
    assert label([*given, f"run_dir={undisturbed}", "max_in_flight=60"], tmp_path).returncode == 0
    for count in (10, 30):
        with started([*given, f"run_dir={killed}"], tmp_path) as process:
            wait_for_records(killed, count, process)
            process.send_signal(signal.SIGKILL)
    resumed = label([*given, f"run_dir={killed}", "max_in_flight=30"], tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert "Resuming" in resumed.stdout
    assert outcome(killed) == outcome(undisturbed)


def test_a_multirun_gives_each_annotator_a_folder(tmp_path: Path) -> None:
    given = [*settings(tmp_path, *FAST, "data.limit=2", "run_dir=sweep"), "--multirun"]
    done = label([*given, "label=monte_carlo,judge"], tmp_path)
    assert done.returncode == 0, done.stderr
    names = {path.parent.parent.name for path in tmp_path.glob("sweep/*/dataset/train.jsonl")}
    assert names == {"label=monte_carlo", "label=judge"}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("label=consensu", "did you mean 'consensus'?"),
        ("label.monte_carlo.num_rollout=3", "did you mean 'label.monte_carlo.num_rollouts'?"),
        ("num_response=3", "did you mean 'num_responses'?"),
        ("cluster.controler.replicas=2", "did you mean 'cluster.controller.replicas'?"),
        ("num_responses=0", "num_responses must be at least 1"),
        ("completer=sandbox", "policy@completer=sandbox"),
        ("experiment=demo", "experiment=demo: prm-search label knows no"),
    ],
)
def test_mistakes_fail_before_anything_starts(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    wrong: str,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    cluster = [] if wrong.startswith("cluster") else ["cluster=inprocess"]
    given = [item for item in settings(tmp_path, *cluster) if item != "label=consensus"]
    assert main(["label", *given, wrong]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert "Traceback" not in captured.err
    assert [path.name for path in tmp_path.iterdir()] == ["problems.jsonl"]


def test_a_completer_that_nothing_uses_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    given = settings(tmp_path, *FAST, "policy@completer=sandbox", "label=judge")
    assert main(["label", *given]) == 2
    assert "leave policy@completer out" in capsys.readouterr().err


def test_help_teaches_with_examples_and_shows_this_commands_groups_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["label", "--help"]) == 0
    text = capsys.readouterr().out
    assert "prm-search label experiment=label_demo" in text
    assert "label.monte_carlo.num_rollouts: int = 8" in text
    assert "cluster.controller.replicas: int = 1" in text
    assert "judge.model: str = ??? (must be given)" in text
    assert "scorer" not in text
    assert not re.search(r"^  (search|prm) ", text, re.MULTILINE)
    assert main(["search", "--help"]) == 0
    assert "engine.judge" not in capsys.readouterr().out
