from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prm_search.aggregation import Aggregation, aggregate
from prm_search.types import StepScores

values = st.lists(st.floats(0, 1), min_size=1, max_size=30)


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        (Aggregation.min, 0.25),
        (Aggregation.product, 0.0625),
        (Aggregation.last, 0.5),
        (Aggregation.mean, 1.25 / 3),
    ],
)
def test_aggregates_by_hand(how: Aggregation, expected: float) -> None:
    assert aggregate(StepScores(values=(0.5, 0.25, 0.5)), how) == pytest.approx(expected)


@pytest.mark.parametrize("how", Aggregation)
def test_a_single_step_is_its_own_aggregate(how: Aggregation) -> None:
    assert aggregate(StepScores(values=(0.3,)), how) == 0.3


@pytest.mark.parametrize("how", Aggregation)
def test_no_step_has_no_aggregate(how: Aggregation) -> None:
    with pytest.raises(ValueError, match="without steps"):
        aggregate(StepScores(values=()), how)


@given(values)
def test_aggregates_are_bounded(scores: list[float]) -> None:
    step_scores = StepScores(values=tuple(scores))
    low, high = min(scores), max(scores)
    assert 0 <= aggregate(step_scores, Aggregation.product) <= low
    for how in (Aggregation.min, Aggregation.last, Aggregation.mean):
        assert low - 1e-12 <= aggregate(step_scores, how) <= high + 1e-12


@given(values, st.floats(0, 1))
def test_a_further_step_never_raises_min_and_product(scores: list[float], new: float) -> None:
    before, after = StepScores(values=tuple(scores)), StepScores(values=(*scores, new))
    for how in (Aggregation.min, Aggregation.product):
        assert aggregate(after, how) <= aggregate(before, how)
