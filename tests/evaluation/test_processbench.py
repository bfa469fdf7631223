from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prm_search.errors import DataError
from prm_search.evaluation.benchmarks import ProcessBench
from prm_search.evaluation.first_error import (
    binary_f1,
    count,
    f1,
    plain_accuracy,
    predicted_first_error,
    score_first_errors,
)
from prm_search.evaluation.processbench import f1_by_threshold, first_error_report
from prm_search.grading import GraderSettings
from prm_search.types import StepScores
from tests.evaluation.results import UNREADABLE, result


def test_a_case_worked_out_by_hand() -> None:
    # Four solutions with an error: found, named too late, missed, found.   -> 2/4
    # Two without one: left alone, accused.                                 -> 1/2
    results = [
        result("a", first_error=1, scores=[0.9, 0.2, 0.1]),
        result("b", first_error=0, scores=[0.6, 0.4]),
        result("c", first_error=2, scores=[0.9, 0.9, 0.9]),
        result("d", first_error=0, scores=[0.1, 0.9]),
        result("e", scores=[0.5, 0.7]),
        result("f", scores=[0.9, 0.49]),
    ]
    report = first_error_report(results, threshold=0.5, num_resamples=200)
    assert report is not None
    (subset,) = report.subsets
    assert subset.error_accuracy is not None
    assert subset.correct_accuracy is not None
    assert subset.f1 is not None
    assert subset.error_accuracy.value == 0.5
    assert subset.correct_accuracy.value == 0.5
    assert subset.f1.value == 0.5
    # Is there an error: 3 of 4 seen, 1 false alarm -> 2*3/(4+3+1).
    assert subset.binary_f1 is not None
    assert subset.binary_f1.value == pytest.approx(6 / 8)
    assert subset.plain_accuracy is not None
    assert subset.plain_accuracy.value == pytest.approx(3 / 6)
    assert (subset.num_errors, subset.num_correct, subset.num_without_verdict) == (4, 2, 0)
    assert subset.f1.low <= 0.5 <= subset.f1.high


def test_the_headline_is_the_unweighted_mean_of_the_subsets() -> None:
    easy = [result(f"e{n}", subset="easy", first_error=0, scores=[0.1]) for n in range(9)]
    easy.append(result("e9", subset="easy", scores=[0.9]))
    hard = [
        result("h0", subset="hard", first_error=0, scores=[0.9]),
        result("h1", subset="hard", scores=[0.9]),
    ]
    report = first_error_report([*hard, *easy], threshold=0.5, num_resamples=200)
    assert report is not None
    assert [subset.name for subset in report.subsets] == ["easy", "hard"]
    assert report.mean_f1 is not None
    assert report.mean_f1.value == pytest.approx((1.0 + 0.0) / 2)


def test_the_numbers_of_the_paper_follow_from_its_accuracies() -> None:
    # Qwen2.5-Math-PRM-7B, arXiv 2501.07301, table 7.
    pairs = [(72.0, 96.4, 82.4), (68.0, 90.4, 77.6), (55.7, 85.5, 67.5), (55.2, 83.0, 66.3)]
    for error, correct, expected in pairs:
        sums = np.array([1000, error * 10, 0, 1000, correct * 10], dtype=float)
        assert 100 * float(f1(sums)) == pytest.approx(expected, abs=0.06)
    assert np.mean([f1 for _, _, f1 in pairs]) == pytest.approx(73.5, abs=0.06)


def test_most_votes_win_and_unreadable_critiques_do_not_vote() -> None:
    assert result("a", votes=[1, None, 1]).finding(0.5).first_error == 1  # pyright: ignore
    assert result("a", votes=[None, 1]).finding(0.5).first_error is None  # pyright: ignore
    assert result("a", votes=[UNREADABLE, 2]).finding(0.5).first_error == 2  # pyright: ignore
    assert result("a", votes=[UNREADABLE, 2]).num_unreadable == 1
    assert result("a", votes=[UNREADABLE]).finding(0.5) is None


def test_no_verdict_is_a_wrong_answer_on_both_sides_and_is_counted() -> None:
    results = [
        result("a", first_error=1, votes=[UNREADABLE, UNREADABLE]),
        result("b", first_error=1, votes=[1]),
        result("c", votes=[UNREADABLE]),
        result("d", votes=[None]),
        result("e"),  # could not be scored at all
    ]
    report = first_error_report(results, threshold=0.5, num_resamples=100)
    assert report is not None
    (subset,) = report.subsets
    assert subset.error_accuracy is not None
    assert subset.correct_accuracy is not None
    assert subset.error_accuracy.value == pytest.approx(1 / 2)
    assert subset.correct_accuracy.value == pytest.approx(1 / 3)
    assert subset.num_without_verdict == 3


def test_a_number_that_is_not_defined_is_none() -> None:
    report = first_error_report(
        [result("a", first_error=0, scores=[0.1])], threshold=0.5, num_resamples=100
    )
    assert report is not None
    assert report.subsets[0].correct_accuracy is None
    assert report.subsets[0].f1 is None
    assert report.mean_f1 is None
    assert first_error_report([result("a", has_truth=False)], threshold=0.5) is None


def test_a_result_without_spread_is_not_certain() -> None:
    results = [result(f"e{n}", first_error=0, scores=[0.1]) for n in range(10)]
    results += [result(f"c{n}", scores=[0.9]) for n in range(5)]
    report = first_error_report(results, threshold=0.5, num_resamples=100)
    assert report is not None
    assert report.mean_f1 is not None
    assert report.mean_f1.value == 1
    assert report.mean_f1.low < 0.7


def test_the_sweep_goes_through_the_declared_threshold() -> None:
    results = [
        result("a", first_error=0, scores=[0.4, 0.4]),
        result("b", scores=[0.6, 0.8]),
    ]
    assert f1_by_threshold(results, [0.0, 0.5, 0.75]) == [0.0, 1.0, 0.0]


@given(
    st.lists(
        st.tuples(st.one_of(st.none(), st.integers(0, 3)), st.one_of(st.none(), st.integers(0, 3))),
        min_size=1,
    )
)
def test_counting_agrees_with_comparing_lists(pairs: list[tuple[int | None, int | None]]) -> None:
    sums = np.sum([count(predicted, truth) for predicted, truth in pairs], axis=0)
    score = score_first_errors([p for p, _ in pairs], [t for _, t in pairs])
    if score.num_errors and score.num_correct:
        assert float(f1(sums)) == pytest.approx(score.f1)
    right = sum(predicted == truth for predicted, truth in pairs)
    assert float(plain_accuracy(sums)) == pytest.approx(right / len(pairs))
    seen = sum(p is not None and t is not None for p, t in pairs)
    said = sum(p is not None for p, _ in pairs)
    if said + score.num_errors:
        assert float(binary_f1(sums)) == pytest.approx(2 * seen / (said + score.num_errors))


def test_a_score_at_the_threshold_is_no_error() -> None:
    assert predicted_first_error(StepScores(values=(0.5, 0.4)), 0.5) == 1


def test_the_real_files_have_the_counts_of_the_paper(data_dir: Path) -> None:
    cases = asyncio.run(ProcessBench(path=str(data_dir / "processbench")).load(GraderSettings()))
    assert cases.set_aside == ()
    has_error = Counter(
        (case.subset, case.truth is not None and case.truth.first_error is not None)
        for case in cases.cases
    )
    assert has_error == {
        ("gsm8k", True): 207,
        ("gsm8k", False): 193,
        ("math", True): 594,
        ("math", False): 406,
        ("olympiadbench", True): 661,
        ("olympiadbench", False): 339,
        ("omnimath", True): 759,
        ("omnimath", False): 241,
    }
    flawed = Counter(
        case.subset
        for case in cases.cases
        if case.is_right and case.truth is not None and case.truth.first_error is not None
    )
    assert flawed == {"gsm8k": 7, "math": 94, "olympiadbench": 161, "omnimath": 259}


def test_a_limit_takes_solutions_of_both_kinds(data_dir: Path) -> None:
    bench = ProcessBench(path=str(data_dir / "processbench"), subsets=["math"], limit=100)
    cases = asyncio.run(bench.load(GraderSettings())).cases
    num_errors = sum(case.truth.first_error is not None for case in cases if case.truth)
    assert len(cases) == 100
    assert 55 <= num_errors <= 64


def test_a_subset_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "math.json").write_text("[]")
    with pytest.raises(DataError, match="no subset 'maths'; there is math"):
        asyncio.run(ProcessBench(path=str(tmp_path), subsets=["maths"]).load(GraderSettings()))
