from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prm_search.data import math_shepherd, processbench, stepwise
from prm_search.data.formats import FORMATS, convert, read_solutions
from prm_search.data.loaded import SetAside
from prm_search.data.prm800k import Neutral, Prm800k
from prm_search.data.stepwise import StepwiseRow, read_stepwise, write_stepwise
from prm_search.errors import DataError

ROW = StepwiseRow(
    prompt="How many?",
    completions=("Three.", "So 4."),
    labels=(True, False),
    soft_labels=(0.875, 0.0),
    label_sources=("monte_carlo", "judge"),
    num_rollouts=(8, 8),
    unlabeled_steps=("The answer is 5.",),
    id="a-1",
    problem_id="a",
    answer="4",
    is_answer_correct=False,
    generator="some/model",
    task="GSM8K",
)
SHEPHERD: dict[str, object] = {
    "input": "How many? Step 1: Three. ки\nStep 2: So 4. ки\nStep 3: The answer is: 4 ки",
    "label": "How many? Step 1: Three. +\nStep 2: So 4. -\nStep 3: The answer is: 4 +",
    "task": "GSM8K",
}


def write_lines(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".parquet"])
def test_stepwise_rows_survive_every_kind_of_file(tmp_path: Path, suffix: str) -> None:
    bare = StepwiseRow(prompt="Q", completions=("a", "b"), labels=(True, True))
    path = tmp_path / f"rows{suffix}"
    assert write_stepwise(path, [ROW, bare]) == 2
    assert read_stepwise(path) == ([ROW, bare], [])
    first = path.read_bytes()
    write_stepwise(path, [ROW, bare])
    assert path.read_bytes() == first
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_a_trainer_of_stepwise_rows_sees_truth_values_alone(tmp_path: Path) -> None:
    write_stepwise(tmp_path / "rows.jsonl", [ROW])
    [line] = (tmp_path / "rows.jsonl").read_text().splitlines()
    row = json.loads(line)
    assert (row["prompt"], row["completions"], row["labels"]) == (
        "How many?",
        ["Three.", "So 4."],
        [True, False],
    )
    assert row["first_error"] == 1
    assert row["unlabeled_steps"] == ["The answer is 5."]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"prompt": None}, "'prompt' must be a text"),
        ({"completions": ["a", " "]}, r"'completions\[1\]' is empty"),
        ({"completions": []}, "completions must be steps with content"),
        ({"completions": "ab"}, "'completions' must be a list, not str"),
        ({"labels": [True]}, "1 labels for 2 steps"),
        ({"labels": [True, 0]}, r"'labels\[1\]' must be true or false, not int 0"),
        ({"soft_labels": [1.5, 0]}, r"'soft_labels\[0\]' must be in \[0, 1\] or null"),
        ({"soft_labels": [float("nan"), 0]}, r"must be in \[0, 1\] or null"),
        ({"first_error": 0}, "'first_error' is 0, but by 'labels' it is 1"),
        ({"num_rollouts": [1, "2"]}, r"'num_rollouts\[1\]' must be a whole number"),
    ],
)
def test_malformed_stepwise_rows_are_named(tmp_path: Path, changes, reason: str) -> None:
    row = {"prompt": "Q", "completions": ["a", "b"], "labels": [True, False]}
    path = write_lines(tmp_path / "rows.jsonl", row, row | changes)
    rows, [set_aside] = read_stepwise(path)
    assert len(rows) == 1
    assert (set_aside.file, set_aside.row) == (str(path), 2)
    with pytest.raises(DataError, match=reason):
        raise DataError(set_aside.reason)


def test_labels_after_the_first_error_are_dropped_but_not_the_steps() -> None:
    row = StepwiseRow(
        prompt="Q", completions=("a", "b", "c"), labels=(True, False, True), num_rollouts=(1, 2, 3)
    )
    cut = row.until_first_error()
    assert cut.completions == ("a", "b")
    assert cut.labels == (True, False)
    assert cut.num_rollouts == (1, 2)
    assert cut.steps == row.steps
    assert cut.until_first_error() == cut


def test_processbench_rows() -> None:
    row: dict[str, object] = {
        "id": "gsm8k-0",
        "generator": "m",
        "problem": "Q",
        "steps": ["a", "b", "c"],
        "final_answer_correct": True,
        "label": 1,
    }
    solution = processbench.from_row(row)
    assert solution.labels == (True, False)
    assert solution.unlabeled_steps == ("c",)
    assert processbench.to_row(solution) == row
    right = processbench.from_row(row | {"label": -1})
    assert right.labels == (True, True, True)
    assert processbench.to_row(right)["label"] == -1
    with pytest.raises(DataError, match="'label' is 3, but there are 3 steps"):
        processbench.from_row(row | {"label": 3})
    with pytest.raises(DataError, match="last 1 of 3 steps have no label"):
        processbench.to_row(replace(solution, labels=(True, True)))


def test_math_shepherd_rows() -> None:
    solution = math_shepherd.from_row(SHEPHERD)
    assert solution.prompt == "How many?"
    assert solution.completions == ("Three.", "So 4.", "The answer is: 4")
    assert solution.labels == (True, False, True)
    assert math_shepherd.to_row(solution) == SHEPHERD
    assert math_shepherd.to_row(solution.until_first_error()) == {
        "input": "How many? Step 1: Three. ки\nStep 2: So 4. ки\nStep 3: The answer is: 4",
        "label": "How many? Step 1: Three. +\nStep 2: So 4. -\nStep 3: The answer is: 4",
        "task": "GSM8K",
    }


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"input": "How many? Step 1: Three."}, "no tag"),
        ({"label": str(SHEPHERD["label"]).replace("4. -", "4. ?")}, "has '\\?' instead of"),
        ({"label": str(SHEPHERD["label"]).replace("So 4", "So 5")}, "not the text of 'input'"),
        ({"label": str(SHEPHERD["label"]) + " more"}, "longer than 'input'"),
        ({"input": "A ки b", "label": "A + b"}, "no 'Step 1:' before"),
        ({"input": "Step 1: A ки", "label": "Step 1: A +"}, "'problem' is empty"),
        ({"input": "Q Step 1: A ки b", "label": "Q Step 1: A + b"}, "behind its last tag"),
    ],
)
def test_malformed_math_shepherd_rows(changes, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        math_shepherd.from_row(SHEPHERD | changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"prompt": "Do Step 1: add."},
        {"completions": ("A ки", "b")},
        {"unlabeled_steps": ("a\nStep 4: b",)},
        {"prompt": "ends in space "},
    ],
)
def test_math_shepherd_refuses_what_it_would_read_in_another_way(changes) -> None:
    with pytest.raises(DataError, match="the format cannot hold it"):
        math_shepherd.to_row(replace(ROW, **changes))


texts = st.text(st.sampled_from("Step 12:ки+-\n a"), min_size=1, max_size=20).filter(str.strip)


@given(prompt=texts, steps=st.lists(texts, min_size=1, max_size=4), data=st.data())
def test_math_shepherd_holds_a_solution_or_refuses_it(prompt, steps, data) -> None:
    num_labeled = data.draw(st.integers(1, len(steps)))
    labels = data.draw(st.lists(st.booleans(), min_size=num_labeled, max_size=num_labeled))
    row = StepwiseRow(
        prompt=prompt,
        completions=tuple(steps[:num_labeled]),
        labels=tuple(labels),
        unlabeled_steps=tuple(steps[num_labeled:]),
    )
    try:
        written = math_shepherd.to_row(row)
    except DataError:
        return
    assert replace(math_shepherd.from_row(written), label_sources=()) == row


def rated(*steps: tuple[int | None, str | None, list[tuple[str, int | None]]], **changes) -> dict:
    """A PRM800K row; each step is (chosen, human, [(text, rating), …])."""
    return {
        "generation": None,
        "is_quality_control_question": False,
        "is_initial_screening_question": False,
        "question": {"problem": "Q", "ground_truth_answer": "4"},
        "label": {
            "steps": [
                {
                    "completions": [{"text": t, "rating": r, "flagged": None} for t, r in items],
                    "human_completion": human,
                    "chosen_completion": chosen,
                }
                for chosen, human, items in steps
            ],
            "total_time": 1,
            "finish_reason": "solution",
        },
    } | changes


FOUND_ERROR = rated(
    (0, None, [("a", 0)]), (0, None, [("b", 1)]), (None, None, [("c", -1), ("x", 1)])
)
FOUND_ERROR["label"]["finish_reason"] = "found_error"
FOUND_ERROR["question"]["pre_generated_steps"] = ["a", "b", "c", "d"]


def test_prm800k_rows() -> None:
    [solution] = Prm800k().from_row(FOUND_ERROR)
    assert solution.completions == ("a", "b", "c")
    assert solution.labels == (True, True, False)
    assert solution.label_sources == ("human",) * 3
    assert solution.unlabeled_steps == ("d",)
    assert solution.answer == "4"
    [strict] = Prm800k(neutral=Neutral.wrong).from_row(FOUND_ERROR)
    assert strict.until_first_error().first_error == 0


def test_prm800k_alternatives_are_solutions_of_their_own() -> None:
    row = rated(
        (1, None, [("wrong", -1), ("a", 1)]),
        (None, "by hand", [("b", -1), ("unrated", None)]),
        (0, None, [("c", 1)]),
    )
    main, *others = Prm800k(alternatives=True).from_row(row)
    assert main.completions == ("a", "by hand", "c")
    assert main.labels == (True, True, True)
    assert [other.completions for other in others] == [("wrong",), ("a", "b")]
    assert [other.labels for other in others] == [(False,), (True, False)]


def test_prm800k_steps_without_a_rating_are_unlabeled() -> None:
    [solution] = Prm800k().from_row(
        rated((0, None, [("a", 1)]), (0, None, [("b", None)]), (0, None, [("c", 1)]))
    )
    assert solution.completions == ("a",)
    assert solution.unlabeled_steps == ("b", "c")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (rated((0, None, [("a", 1)]), is_quality_control_question=True), "check its labeler"),
        (rated(label={"steps": [], "finish_reason": "give_up"}), "'finish_reason' is 'give_up'"),
        (rated((None, None, [("a", 1)]), (0, None, [("b", 1)])), r"steps\[0\]: nothing was chosen"),
        (rated((3, None, [("a", 1)])), "'chosen_completion' is 3, of 1"),
        (rated((0, None, [("a", 2)])), "'rating' must be -1, 0 or 1, not 2"),
        (rated((0, None, [("a", None)])), "first step has no rating"),
        (rated(), "first step has no rating"),
        (rated(question=None), "'question' must be an object"),
    ],
)
def test_prm800k_rows_that_cannot_be_used(row, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        Prm800k().from_row(row)


def test_conversion_names_what_it_sets_aside_and_keeps_the_rest(tmp_path: Path) -> None:
    good = {"id": "p", "problem": "Q", "steps": ["a", "b"], "label": 0}
    path = write_lines(
        tmp_path / "bench.jsonl", good, {**good, "label": 7}, {**good, "problem": "Step 1: Q"}
    )
    out = tmp_path / "deep" / "out.parquet"
    done = convert(path, out, source=FORMATS["processbench"], target=FORMATS["math_shepherd"])
    assert done.num_written == 1
    assert [row.row for row in done.set_aside] == [2, 3]
    [item] = read_solutions(out, FORMATS["math_shepherd"])
    assert isinstance(item, tuple)
    solution = item[1]
    assert (solution.labels, solution.unlabeled_steps, solution.id) == ((False,), ("b",), "out-1")


def test_conversion_may_keep_the_labels_after_the_first_error(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "in.jsonl", SHEPHERD)
    for all_labels, labels in ((False, (True, False)), (True, (True, False, True))):
        shepherd, trl = FORMATS["math_shepherd"], FORMATS["trl"]
        convert(path, tmp_path / "o.jsonl", source=shepherd, target=trl, all_labels=all_labels)
        [row], _ = read_stepwise(tmp_path / "o.jsonl")
        assert row.labels == labels


def test_conversion_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text("old")
    path = write_lines(tmp_path / "in.jsonl", {"problem": 1})
    trl, bench = FORMATS["trl"], FORMATS["processbench"]
    with pytest.raises(DataError, match=r"no row that can be converted; the first: .*in.jsonl:1"):
        convert(path, out, source=bench, target=trl)
    with pytest.raises(DataError, match=r"kind '.csv' cannot be written"):
        convert(path, tmp_path / "out.csv", source=bench, target=trl)
    with pytest.raises(DataError, match="not written"):
        convert(path, out, source=bench, target=FORMATS["prm800k"])
    assert out.read_text() == "old"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl"]


COUNTS = {"gsm8k": (207, 193, 7), "math": (594, 406, 94), "olympiadbench": (661, 339, 161)}
COUNTS["omnimath"] = (759, 241, 259)
FORMAT_HOLDS_NOT = {"olympiadbench": 5, "omnimath": 1}
"""Problems with "Step 1:" in them."""


@pytest.mark.parametrize("subset", COUNTS)
def test_processbench_survives_every_format(data_dir: Path, tmp_path: Path, subset: str) -> None:
    source = data_dir / f"processbench/{subset}.json"
    original = json.loads(source.read_text())
    solutions = list(read_solutions(source, FORMATS["processbench"]))
    assert not any(isinstance(item, SetAside) for item in solutions)
    rows = [item[1] for item in solutions if not isinstance(item, SetAside)]
    errors = [row.first_error is not None for row in rows]
    flawed = [row.first_error is not None and row.is_answer_correct is True for row in rows]
    assert (sum(errors), len(rows) - sum(errors), sum(flawed)) == COUNTS[subset]
    formats = {name: form for name, form in FORMATS.items() if form.write}
    for suffix in (".jsonl", ".parquet"):
        stations = [tmp_path / f"{name}{suffix}" for name in formats]
        bench = FORMATS["processbench"]
        for station, form in zip(stations, formats.values(), strict=True):
            back = tmp_path / f"back.{station.name}"
            done = convert(source, station, source=bench, target=form)
            convert(station, back, source=form, target=bench)
            read = [item for item in read_solutions(back, bench) if not isinstance(item, SetAside)]
            lost = {row.row for row in done.set_aside}
            expected = [row for number, row in enumerate(original, start=1) if number not in lost]
            shepherd = station.stem == "math_shepherd"
            assert len(lost) == (FORMAT_HOLDS_NOT.get(subset, 0) if shepherd else 0)
            keys = ("problem", "steps", "label") if shepherd else bench.columns
            written = [processbench.to_row(row) for _, row in read]
            assert [{key: row[key] for key in keys} for row in written] == [
                {key: row[key] for key in keys} for row in expected
            ]


def test_stepwise_columns_are_those_that_are_written() -> None:
    assert list(stepwise.to_row(ROW)) == list(stepwise.COLUMNS)
    assert list(processbench.to_row(ROW)) == list(processbench.COLUMNS)
