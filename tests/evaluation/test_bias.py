from __future__ import annotations

import pytest

from prm_search.evaluation.bias import bias_report, is_minimum_on_last_step
from tests.evaluation.results import UNREADABLE, result


def test_a_report_worked_out_by_hand() -> None:
    results = [
        # Right answers, three of four flawed: located, noticed too late, not seen.
        result("a", is_right=True, first_error=1, scores=[0.9, 0.1, 0.8]),
        result("b", is_right=True, first_error=0, scores=[0.9, 0.1]),
        result("c", is_right=True, first_error=0, scores=[0.8, 0.9]),
        result("d", is_right=True, scores=[0.9, 0.7]),
        # Wrong answers count for the place of the minimum alone.
        result("e", is_right=False, first_error=0, scores=[0.2, 0.2]),
        result("f", is_right=False, first_error=0, scores=[0.2]),
        # Nothing is known of these.
        result("g", is_right=None, first_error=0, scores=[0.9, 0.1]),
        result("h", is_right=True, has_truth=False, scores=[0.9, 0.1]),
    ]
    (row,) = bias_report(results, threshold=0.5, num_resamples=200)
    assert (row.num_right, row.num_right_but_flawed) == (4, 3)
    assert row.right_but_flawed is not None
    assert row.noticed is not None
    assert row.located is not None
    assert row.minimum_on_last_step is not None
    assert row.right_but_flawed.value == pytest.approx(3 / 4)
    assert row.noticed.value == pytest.approx(2 / 3)
    assert row.located.value == pytest.approx(1 / 3)
    assert row.minimum_on_last_step.value == pytest.approx(2 / 5)  # b and d, of five with two steps


def test_subsets_come_with_a_total() -> None:
    rows = bias_report(
        [
            result("a", subset="x", is_right=True, first_error=0, votes=[0]),
            result("b", subset="y", is_right=True, first_error=0, votes=[UNREADABLE]),
        ],
        threshold=0.5,
        num_resamples=50,
    )
    assert [row.name for row in rows] == ["x", "y", "all"]
    assert rows[-1].noticed is not None
    assert rows[-1].noticed.value == 0.5  # nothing said is not noticed
    assert rows[-1].minimum_on_last_step is None
    assert bias_report([], threshold=0.5) == ()


def test_a_tie_is_no_minimum_on_the_last_step() -> None:
    assert is_minimum_on_last_step([0.9, 0.2])
    assert not is_minimum_on_last_step([0.2, 0.2])
    assert not is_minimum_on_last_step([0.1, 0.2])
