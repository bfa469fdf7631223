from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prm_search.data.prmbench import from_row, without_number
from prm_search.errors import DataError
from prm_search.evaluation.benchmarks import PrmBench
from prm_search.evaluation.prmbench import (
    StepValidity,
    class_f1,
    count_steps,
    prm_score,
    prmbench_report,
)
from prm_search.grading import GraderSettings
from tests.evaluation.results import UNREADABLE, result


def test_steps_are_counted_as_the_authors_count_them() -> None:
    said = StepValidity(valid=(True, False, True, False))
    # Wrong: the second step (seen) and the third (not seen); the ninth does not exist.
    assert count_steps(said, [1, 2, 8], is_about_redundancy=False) == [1, 1, 1, 1]


def test_redundancy_takes_the_place_of_validity_where_it_is_asked_for() -> None:
    said = StepValidity(valid=(True, True), redundant=(False, True))
    assert count_steps(said, [1], is_about_redundancy=True) == [1, 0, 1, 0]
    assert count_steps(said, [1], is_about_redundancy=False) == [1, 1, 0, 0]


def test_a_score_worked_out_by_hand() -> None:
    # TP 6, FP 2, TN 3, FN 1: F1 = 12/15, F1 of wrong steps = 6/9.
    sums = np.array([6.0, 2.0, 3.0, 1.0])
    assert float(prm_score(sums)) == pytest.approx((12 / 15 + 6 / 9) / 2)
    assert float(prm_score(sums, has_errors=False)) == pytest.approx(12 / 15)


@pytest.mark.parametrize(
    ("sums", "expected"),
    [
        # Nothing is held invalid: precision -1 and recall 0 of wrong steps give an F1 of 0.
        ([8.0, 2.0, 0.0, 0.0], 0.5 * 16 / 18),
        # Only right steps are held invalid: both are 0, the F1 is -1, the score is floored.
        ([4.0, 2.0, 0.0, 4.0], max(0.5 * 8 / 14 - 0.5, 0.0)),
        # No step at all: both ratios are -1.
        ([0.0, 0.0, 0.0, 0.0], 0.0),
    ],
)
def test_undefined_ratios_are_those_of_the_authors(sums: list[float], expected: float) -> None:
    assert float(prm_score(np.array(sums))) == pytest.approx(expected)


def _authors_f1(tp: int, fp: int, fn: int) -> float:
    precision = tp / (tp + fp) if tp + fp else -1
    recall = tp / (tp + fn) if tp + fn else -1
    return 2 * precision * recall / (precision + recall) if precision + recall else -1


@given(st.tuples(*[st.integers(0, 6)] * 4))
def test_every_count_gives_what_the_plain_formula_gives(counts: tuple[int, int, int, int]) -> None:
    tp, fp, tn, fn = counts
    expected = max(0.5 * _authors_f1(tp, fp, fn) + 0.5 * _authors_f1(tn, fn, fp), 0)
    assert float(prm_score(np.array(counts, dtype=float))) == pytest.approx(expected)
    one = np.array([float(tp)]), np.array([float(fp)]), np.array([float(fn)])
    assert float(class_f1(*one)[0]) == pytest.approx(_authors_f1(tp, fp, fn))


def test_categories_are_pooled_and_originals_are_in_no_total() -> None:
    results = [
        # Overall: 3 right steps held valid, 1 not; 1 wrong step seen, 1 not.
        result("1", subset="counterfactual", wrong_steps=[1], scores=[0.9, 0.1, 0.8]),
        result("2", subset="redundency", wrong_steps=[0], scores=[0.7, 0.4]),
        result("3", subset="multi_solutions", wrong_steps=[], scores=[0.9]),
        result("4", subset="correct", wrong_steps=[], scores=[0.1, 0.1, 0.9]),
        result("5", subset="deception", wrong_steps=[0]),  # could not be scored
    ]
    report = prmbench_report(results, threshold=0.5, num_resamples=200)
    assert report.overall is not None
    assert report.overall.value == pytest.approx((6 / 8 + 2 / 4) / 2)
    scores = {item.name: item for item in report.categories}
    counterfactual, redundency = scores["counterfactual"], scores["redundency"]
    assert counterfactual.prm_score is not None
    assert counterfactual.prm_score.value == 1
    # Nothing is right here, so both F1 are -1, and the score is 0.
    assert redundency.prm_score is not None
    assert redundency.prm_score.value == 0
    assert scores["multi_solutions"].prm_score is not None
    assert scores["multi_solutions"].prm_score.value == 1
    assert scores["deception"].prm_score is None
    assert (scores["deception"].num_solutions, scores["deception"].num_left_out) == (1, 1)
    assert (report.originals.true_positives, report.originals.false_negatives) == (1, 2)
    assert report.originals.prm_score is None
    assert report.validity_rate == pytest.approx(3 / 4)
    assert report.groups["simplicity"] is None  # circular has no result


def test_a_step_at_the_threshold_is_not_valid() -> None:
    report = prmbench_report(
        [result("1", subset="circular", wrong_steps=[1], scores=[0.9, 0.5])],
        threshold=0.5,
        num_resamples=10,
    )
    (circular,) = (item for item in report.categories if item.name == "circular")
    assert (circular.true_positives, circular.true_negatives) == (1, 1)


def test_of_a_judge_the_step_it_names_is_invalid() -> None:
    results = [
        result("1", subset="confidence", wrong_steps=[2, 3], votes=[2]),
        result("2", subset="confidence", wrong_steps=[2], votes=[UNREADABLE]),
    ]
    report = prmbench_report(results, threshold=0.5, num_resamples=10)
    (row,) = (item for item in report.categories if item.name == "confidence")
    counts = (row.true_positives, row.false_positives, row.true_negatives, row.false_negatives)
    assert counts == (2, 1, 1, 0)
    assert row.num_left_out == 1


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ("1. Let x be 3.", "Let x be 3."),
        ("Step 12. Add.", "Add."),
        (" step 2.  Add. ", "Add."),
        ("3.5 is the mean.", "5 is the mean."),  # as the authors' expression does
        ("7.", "7."),
        ("", ""),
    ],
)
def test_numbers_before_steps_are_removed(step: str, expected: str) -> None:
    assert without_number(step) == expected


def test_a_row_about_redundancy_gives_its_original_too() -> None:
    row: dict[str, object] = {
        "idx": "p1",
        "classification": "redundency",
        "original_question": "Q?",
        "original_process": ["1. One.", "2. Two."],
        "modified_question": "Q!",
        "modified_process": ["1. One.", "2. One again.", "3. Two."],
        "error_steps": [2],
    }
    original, modified = from_row(row)
    assert (original.id, original.category, original.prompt) == ("correct_p1", "correct", "Q?")
    assert original.wrong_steps == ()
    assert (modified.id, modified.prompt) == ("redundency_p1", "Q!")
    assert modified.steps == ("One.", "One again.", "Two.")
    assert modified.wrong_steps == (1,)
    with pytest.raises(DataError, match="counts from 1"):
        list(from_row({**row, "error_steps": [0]}))
    with pytest.raises(DataError, match="'classification' is 'other', not one of redundency"):
        list(from_row({**row, "classification": "other"}))


def test_the_real_files_have_the_counts_of_the_authors(data_dir: Path) -> None:
    folder = data_dir / "prmbench"
    cases = asyncio.run(PrmBench(path=str(folder)).load(GraderSettings()))
    num_rows = sum(len(file.read_text().splitlines()) for file in folder.glob("*.jsonl"))
    assert num_rows == 6216
    by_category = Counter(case.subset for case in cases.cases)
    assert by_category == {
        "circular": 758,
        "confidence": 757,
        "counterfactual": 757,
        "deception": 750,
        "domain_inconsistency": 757,
        "missing_condition": 756,
        "redundency": 758,
        "step_contradiction": 758,
        "multi_solutions": 160,
        "correct": 758,
    }
    assert sum(by_category.values()) - by_category["correct"] == 6211
    assert len(cases.set_aside) == 5
    assert all("already used" in item.reason for item in cases.set_aside)
