"""Reading a run directory, the rows of its summary, and the table."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from prm_search.errors import StoreError
from prm_search.reporting import MethodSummary, read_run, summarize, summarize_levels, table
from prm_search.statistics import Estimate, wilson
from tests.reporting.written_runs import record, tree, write_run

PRM = {"prompt_tokens": 100, "cached_tokens": 60, "scored_tokens": 40, "num_calls": 3}


def printed(rows: tuple[MethodSummary, ...]) -> str:
    console = Console(width=140, record=True, file=io.StringIO())
    console.print(table(rows))
    return console.export_text()


def test_the_summary_of_a_run_worked_by_hand(tmp_path: Path):
    records = [
        record("p1", prm=PRM),
        record("p2", prm=PRM, is_correct=False),
        record("p3", prm=PRM, is_correct=None, is_ungradable=True),
        record("p4", is_correct=None, error="gone"),
        record("p1", method="majority", search_tree=tree("a", "b")),
    ]
    metrics = [
        {"method": "beam", "seed": 0, "wall_seconds": 4.0},
        {"method": "beam", "seed": 0, "wall_seconds": 7.5},
    ]
    beam, majority = summarize(read_run(write_run(tmp_path, records, metrics=metrics)))
    assert beam == MethodSummary(
        method="beam",
        num_samples=2,
        accuracy=wilson(1, 2),
        num_problems=4,
        num_seeds=1,
        num_failures=1,
        num_ungradable=1,
        policy_tokens=30,
        policy_tokens_per_problem=10.0,
        prm_tokens_computed=120,
        prm_tokens_cached=180,
        prm_tokens_recomputed=300,
        seconds=7.5,
    )
    assert majority.accuracy == wilson(1, 1)
    assert majority.num_samples == 1
    assert (majority.prm_tokens_computed, majority.prm_tokens_recomputed) == (0, 0)


def test_several_seeds_are_added_up_and_clustered_by_problem(tmp_path: Path):
    records = [
        record(f"p{problem}", seed=seed, is_correct=problem < 2)
        for problem in range(4)
        for seed in (0, 1)
    ]
    metrics = [{"method": "beam", "seed": seed, "wall_seconds": 5.0} for seed in (0, 1)]
    (row,) = summarize(read_run(write_run(tmp_path, records, metrics=metrics)))
    assert (row.num_problems, row.num_seeds, row.policy_tokens) == (4, 2, 80)
    assert row.seconds == 10.0
    assert row.accuracy is not None
    assert row.accuracy.value == 0.5
    # Of four problems, not of eight: wilson(4, 8) would be narrower.
    assert row.accuracy.high - row.accuracy.low > wilson(4, 8).high - wilson(4, 8).low


def test_the_time_of_a_killed_session_is_taken_from_its_records(tmp_path: Path):
    records = [
        record("p1", elapsed=3.0, session=0),
        record("p2", elapsed=2.0, session=0),
        record("p3", elapsed=4.0, session=1),
    ]
    (row,) = summarize(read_run(write_run(tmp_path, records, is_finished=False)))
    assert row.seconds == 7.0


def test_a_record_that_is_being_written_is_left_out(tmp_path: Path):
    write_run(tmp_path, [record("p1"), record("p2")], is_finished=False)
    path = tmp_path / "records.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    run = read_run(tmp_path)
    assert [item.problem for item in run.outcomes] == ["p1"]
    assert not run.is_finished


def test_a_damaged_record_is_named(tmp_path: Path):
    write_run(tmp_path, [record("p1"), record("p2")])
    path = tmp_path / "records.jsonl"
    path.write_text(path.read_text().replace('"metadata"', '"mtdata"', 1))
    with pytest.raises(StoreError, match=r"records\.jsonl, line 1: not a record.*metadata"):
        read_run(tmp_path)


def test_results_alone_are_enough(tmp_path: Path):
    write_run(tmp_path, [record("p1")])
    (tmp_path / "records.jsonl").unlink()
    (row,) = summarize(read_run(tmp_path))
    assert (row.num_problems, row.seconds) == (1, 0.0)


def test_a_directory_without_a_run_is_refused(tmp_path: Path):
    with pytest.raises(StoreError, match="holds no run"):
        read_run(tmp_path)


def test_a_run_without_results_has_no_rows(tmp_path: Path):
    run = read_run(write_run(tmp_path, [], is_finished=False))
    assert summarize(run) == ()
    assert summarize_levels(run) == ()
    assert "accuracy" in printed(())


def test_problems_are_in_natural_order_and_methods_as_they_ran(tmp_path: Path):
    records = [record(name, method=method) for method in "ba" for name in ("p10", "p9")]
    run = read_run(write_run(tmp_path, records))
    assert run.methods == ("b", "a")
    assert [item.problem for item in run.of("a")] == ["p9", "p10"]


def test_the_tree_of_an_outcome_is_read_from_disk(tmp_path: Path):
    grown = tree("first", "second")
    records = [record("ü1"), record("p2", search_tree=grown), record("p3", error="x")]
    run = read_run(write_run(tmp_path, records))
    by_problem = {item.problem: item for item in run.outcomes}
    assert run.tree(by_problem["p2"]) == grown
    assert run.tree(by_problem["p3"]) is None


def test_accuracy_by_level_leaves_out_what_is_not_known(tmp_path: Path):
    records = [
        record("p1", metadata={"level": 10}, is_correct=False),
        record("p2", metadata={"level": 9}),
        record("p3", metadata={"level": 9}, is_correct=None),
        record("p4"),
    ]
    found = summarize_levels(read_run(write_run(tmp_path, records)))
    assert [(item.level, item.accuracy) for item in found] == [
        ("9", wilson(1, 1)),
        ("10", wilson(0, 1)),
    ]


def test_the_table_has_failures_only_if_there_are_any():
    row = MethodSummary(
        method="beam[16]",
        num_samples=16,
        accuracy=Estimate(value=0.815, low=0.756, high=0.863),
        num_problems=200,
        num_seeds=1,
        num_failures=0,
        num_ungradable=0,
        policy_tokens=306_616,
        policy_tokens_per_problem=1533.0,
        prm_tokens_computed=329_016,
        prm_tokens_cached=1_307_776,
        prm_tokens_recomputed=1_636_792,
        seconds=12.34,
    )
    text = printed((row,))
    heads = [cell.strip() for cell in text.splitlines()[1].strip("┃").split("┃")]
    assert heads == [
        "method",
        "N",
        "accuracy [95 %]",
        "policy tokens",
        "PRM computed",
        "PRM cached",
        "seconds",
    ]
    cells = [cell.strip() for cell in text.splitlines()[3].strip("│").split("│")]
    assert cells == [
        "beam[16]",
        "16",
        "81.5% [75.6, 86.3]",
        "306,616",
        "329,016",
        "1,307,776",
        "12.3",
    ]


def test_the_table_counts_failures_and_ungradable_answers(tmp_path: Path):
    records = [record("p1", error="gone"), record("p2", is_correct=None, is_ungradable=True)]
    text = printed(summarize(read_run(write_run(tmp_path, records))))
    assert "failures" in text
    assert "ungradable" in text
    assert "–" in text  # no accuracy


def test_unknown_usage_fields_are_an_error_not_dropped(tmp_path: Path):
    broken = record("p1")
    broken["usage"]["policy"]["jokes"] = 1
    with pytest.raises(StoreError, match="line 1"):
        read_run(write_run(tmp_path, [broken]))
    assert json.loads((tmp_path / "records.jsonl").read_text())["problem"] == "p1"
