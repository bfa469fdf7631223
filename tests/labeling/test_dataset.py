from __future__ import annotations

import asyncio
import json
import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from pyarrow import parquet

from prm_search.data.stepwise import read_stepwise
from prm_search.errors import ContextLengthError, DataError
from prm_search.fakes import FakeGenerator, FakeGrader, FakeJudge
from prm_search.labeling.consensus import Consensus
from prm_search.labeling.dataset import write_dataset
from prm_search.labeling.decontamination import Decontamination
from prm_search.labeling.judge_votes import JudgeVotes
from prm_search.labeling.label_records import record_of_failure, record_of_labels, with_time
from prm_search.labeling.labeler import Labeler
from prm_search.labeling.monte_carlo import LabelKind, MonteCarlo, Order
from prm_search.record_fields import Timing
from prm_search.store import RunStore
from prm_search.types import Problem

CONFIG = {
    "policy": {"model": "some/policy"},
    "label": {"monte_carlo": {"num_rollouts": 8}},
    "max_in_flight": 7,
    "grader": {"a": 1, "num_processes": 2},
    "run_dir": "here",
}
PROBLEMS = [
    Problem(id=f"p{index}", prompt=f"Question {index} of {index * index}?", answer="12")
    for index in range(12)
]


async def make_records(**settings: Any) -> list[dict[str, Any]]:
    generator = FakeGenerator(num_steps=4, num_extra_steps=2, error_rate=0.2, truncation_rate=0.03)
    grader = FakeGrader()
    labeler = Labeler(
        annotator=settings.get("annotator", Consensus(judge_votes=JudgeVotes(num_votes=3))),
        num_responses=6,
        seed=1,
        generator=generator,
        completer=generator,
        judge=FakeJudge(accuracy=0.8, failure_rate=0.2),
        grader=grader,
    )
    records: list[dict[str, Any]] = []
    for number, problem in enumerate(PROBLEMS):
        timing = Timing(session=0, elapsed=random.random(), wall=random.random())
        if number == 3:
            error = ContextLengthError(9, 8)  # which no further attempt can mend
            record = record_of_failure(problem, error, method="m", seed=1)
        else:
            record = await record_of_labels(
                await labeler(problem), method="m", seed=1, grader=grader
            )
        records.append(with_time(record, timing, num_attempts=1))
    return records


@pytest.fixture(scope="module")
def records() -> list[dict[str, Any]]:
    return asyncio.run(make_records())


def write_run(directory: Path, records: Sequence[dict[str, Any]], **config: object) -> Path:
    with RunStore(directory, config={**CONFIG, **config}, seed=1) as store:
        for record in records:
            store.append(record)
    return directory


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (directory / "dataset").iterdir()}


def test_rows_hold_the_kept_responses_up_to_their_first_error(tmp_path: Path, records) -> None:
    run_dir = write_run(tmp_path, records)
    counts = write_dataset(run_dir)
    rows, set_aside = read_stepwise(run_dir / "dataset" / "train.jsonl")
    kept = [
        (record, response)
        for record in sorted(records, key=lambda record: record["problem"])
        for response in record["responses"]
        if response["rejection"] is None
    ]
    assert set_aside == []
    assert counts.num_rows == len(rows) == len(kept) > 10
    for row, (record, response) in zip(rows, kept, strict=True):
        assert row.id == response["id"]
        assert (row.problem_id, row.prompt, row.answer) == (
            record["problem"],
            record["prompt"],
            "12",
        )
        assert row.first_error == response["first_error"]
        assert list(row.steps) == [step.strip() for step in response["steps"]]
        assert row.is_answer_correct is response["is_correct"]
        assert row.generator == "some/policy"
        assert row.soft_labels == tuple(map(float, row.labels))
        assert set(row.label_sources) == {"consensus"}
        assert all(row.labels[:-1])
        assert bool(row.unlabeled_steps) == (
            row.first_error is not None and row.first_error + 1 < len(row.steps)
        )


def test_both_files_hold_the_same_rows(tmp_path: Path, records) -> None:
    folder = write_run(tmp_path, records) / "dataset"
    write_dataset(tmp_path)
    assert read_stepwise(folder / "train.parquet") == read_stepwise(folder / "train.jsonl")


def test_the_card_names_the_table_for_the_datasets_library(tmp_path: Path, records) -> None:
    datasets = pytest.importorskip("datasets")
    write_dataset(write_run(tmp_path / "run", records))
    loaded = datasets.load_dataset(
        str(tmp_path / "run" / "dataset"), split="train", cache_dir=str(tmp_path / "cache")
    )
    rows, _ = read_stepwise(tmp_path / "run" / "dataset" / "train.jsonl")
    assert loaded["labels"][:] == [list(row.labels) for row in rows]


def test_equal_records_give_equal_bytes_in_any_order(tmp_path: Path, records) -> None:
    write_dataset(write_run(tmp_path / "a", records))
    again = [
        with_time(dict(record), Timing(session=3, elapsed=9.0, wall=9.0), num_attempts=2)
        for record in records
    ]
    random.Random(0).shuffle(again)
    write_dataset(
        write_run(
            tmp_path / "b",
            again,
            run_dir="there",
            max_in_flight=1,
            grader={"a": 1, "num_processes": 9},
        )
    )
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    write_dataset(tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert contents(tmp_path / "a").keys() == {
        "train.jsonl",
        "train.parquet",
        "removed.jsonl",
        "README.md",
    }


def test_an_unfinished_run_gives_what_it_has(tmp_path: Path, records) -> None:
    run_dir = write_run(tmp_path / "a", records[:5])
    with (run_dir / "records.jsonl").open("a") as file:
        file.write('{"method": "m", "prob')
    assert write_dataset(run_dir).num_problems == 5
    empty = write_run(tmp_path / "b", [])
    assert write_dataset(empty).num_rows == 0
    assert parquet.read_table(empty / "dataset" / "train.parquet").num_rows == 0
    with pytest.raises(DataError, match=r"is no run: it has no records.jsonl"):
        write_dataset(tmp_path / "c")


def test_every_sample_is_a_row_or_is_counted_as_set_aside(tmp_path: Path, records) -> None:
    counts = write_dataset(write_run(tmp_path, records))
    assert counts.num_samples == 6 * (len(PROBLEMS) - 1)
    assert counts.num_rows + counts.set_aside.total() == counts.num_samples
    assert counts.set_aside["disagreement"] > 0
    assert counts.set_aside["unfinished"] > 0
    assert counts.failed_problems == {"ContextLengthError": 1}
    assert counts.num_unreadable_critiques > 0


def test_agreement_of_judge_and_rollouts_does_not_depend_on_who_came_first(tmp_path: Path) -> None:
    tables = []
    for order in (Order.lazy, Order.exhaustive):
        annotator = Consensus(
            monte_carlo=MonteCarlo(order=order), judge_votes=JudgeVotes(num_votes=3)
        )
        run_dir = write_run(tmp_path / order, asyncio.run(make_records(annotator=annotator)))
        tables.append(write_dataset(run_dir).agreement)
    assert tables[0] == tables[1]
    assert sum(number for (_, agrees), number in tables[0].items() if agrees) > 0
    assert sum(number for (_, agrees), number in tables[0].items() if not agrees) > 0


def test_the_plain_recipe_is_what_exhaustive_labeling_draws(tmp_path: Path) -> None:
    annotator = MonteCarlo(order=Order.exhaustive)
    run_dir = write_run(
        tmp_path,
        asyncio.run(make_records(annotator=annotator)),
        label={"num_rollouts": annotator.num_rollouts},
    )
    counts = write_dataset(run_dir)
    assert counts.num_rollouts == annotator.num_rollouts * counts.num_prefixes
    assert "| rollouts |" in (run_dir / "dataset" / "README.md").read_text()


def test_problems_of_evaluation_sets_are_removed_and_listed(tmp_path: Path, records) -> None:
    evaluation = tmp_path / "eval.jsonl"
    evaluation.write_text(json.dumps({"id": "e", "problem": PROBLEMS[4].prompt.upper()}) + "\n")
    run_dir = write_run(tmp_path / "run", records)
    whole = write_dataset(run_dir)
    counts = write_dataset(run_dir, decontamination=Decontamination(files=[str(evaluation)]))
    [line] = (run_dir / "dataset" / "removed.jsonl").read_text().splitlines()
    removed = json.loads(line)
    assert (removed["problem_id"], removed["kind"], removed["row"]) == ("p4", "exact", 1)
    assert (removed["file"], removed["row_id"]) == (str(evaluation), "e")
    assert counts.num_removed_problems == 1
    assert counts.set_aside["decontamination"] == removed["num_rows"] > 0
    assert counts.num_rows == whole.num_rows - removed["num_rows"]
    assert counts.num_rows + counts.set_aside.total() == counts.num_samples
    rows, _ = read_stepwise(run_dir / "dataset" / "train.jsonl")
    assert "p4" not in {row.problem_id for row in rows}


def test_soft_labels_keep_the_hard_ones(tmp_path: Path) -> None:
    annotator = MonteCarlo(order=Order.stop_at_first_error, labels=LabelKind.soft, threshold=0.3)
    run_dir = write_run(tmp_path, asyncio.run(make_records(annotator=annotator)))
    write_dataset(run_dir)
    rows, _ = read_stepwise(run_dir / "dataset" / "train.jsonl")
    for row in rows:
        for label, value in zip(row.labels, row.soft_labels, strict=True):
            assert value is not None
            assert label is (value > 0.3)
    assert (
        "The labels are soft; their mean value is 0."
        in (run_dir / "dataset" / "README.md").read_text()
    )


def test_the_old_data_set_stays_until_the_new_one_is_whole(tmp_path: Path, records) -> None:
    run_dir = write_run(tmp_path / "run", records)
    write_dataset(run_dir)
    before = contents(run_dir)
    shutil.copy(run_dir / "records.jsonl", tmp_path / "copy")
    (run_dir / "records.jsonl").write_text('{"broken": 1}\n')
    with pytest.raises(DataError, match="cannot be read"):
        write_dataset(run_dir)
    assert contents(run_dir) == before


def test_the_header_of_the_card_is_yaml(tmp_path: Path, records) -> None:
    write_dataset(write_run(tmp_path, records))
    _, header, body = (tmp_path / "dataset" / "README.md").read_text().split("---\n", 2)
    assert yaml.safe_load(header)["configs"][0]["data_files"] == [
        {"split": "train", "path": "train.parquet"}
    ]
    for section in ("Counts", "Set aside", "Balance", "Cost", "Decontamination"):
        assert f"## {section}\n" in body
    assert "seed 1" in body.lower()
    assert "max_in_flight" not in body
