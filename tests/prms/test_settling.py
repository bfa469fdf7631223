"""When the analyses that were read decide a verdict."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prm_search.prms.settling import num_missing, probability_below

VALUES = st.lists(st.integers(0, 16).map(lambda part: part / 16), max_size=24)
"""Sums of sixteenths are exact."""


def missing(*values: float, most: int, confidence: float | None, threshold: float = 0.5) -> int:
    return num_missing(values, most=most, threshold=threshold, confidence=confidence)


def test_without_a_confidence_all_are_drawn() -> None:
    assert missing(most=10, confidence=None) == 10
    assert missing(1, 1, 1, most=7, confidence=None) == 7


def test_four_that_agree_suffice_at_95_percent() -> None:
    assert missing(most=32, confidence=0.95) == 4
    assert missing(1, 1, 1, 1, most=28, confidence=0.95) == 0
    assert missing(0, 0, 0, 0, most=28, confidence=0.95) == 0


def test_one_that_disagrees_asks_for_three_more() -> None:
    # P(θ > 1/2 | 6 of 7) = 0.965, and 0.938 for 5 of 6.
    assert missing(1, 0, 1, 1, most=28, confidence=0.95) == 3


def test_at_certainty_half_of_them_have_to_agree() -> None:
    assert missing(most=10, confidence=1) == 5
    assert missing(1, 1, 1, 1, 1, most=5, confidence=1) == 0  # a tie counts as right
    assert missing(0, 0, 0, 0, 0, most=5, confidence=1) == 1


@pytest.mark.parametrize(
    ("total", "count", "expected"), [(0, 0, 0.5), (4, 4, 1 / 32), (0, 4, 31 / 32), (3, 6, 0.5)]
)
def test_the_posterior_is_that_of_a_uniform_prior(
    total: float, count: int, expected: float
) -> None:
    assert probability_below(0.5, total, count) == pytest.approx(expected, abs=1e-6)


def test_the_posterior_of_other_thresholds() -> None:
    # I_0.25(2, 3) = 1 - P(Binomial(4, 1/4) <= 1)
    assert probability_below(0.25, 1, 3) == pytest.approx(1 - 0.73828125, abs=1e-6)


@given(VALUES, st.integers(1, 8), st.sampled_from([0.25, 0.5, 0.75]))
def test_certainty_never_contradicts_all_values(
    values: list[float], more: int, threshold: float
) -> None:
    drawn = 0
    while number := num_missing(
        values[:drawn], most=len(values) - drawn, threshold=threshold, confidence=1
    ):
        assert drawn + number <= len(values)
        drawn += number
    if values:
        is_right = sum(values) / len(values) >= threshold
        assert (sum(values[:drawn]) / drawn >= threshold) is is_right


@given(VALUES, st.integers(0, 12), st.floats(0.55, 1))
def test_no_fewer_values_could_have_settled_it(
    values: list[float], most: int, confidence: float
) -> None:
    """Drawing one by one stops no earlier than drawing as many as are missing."""
    number = num_missing(values, most=most, threshold=0.5, confidence=confidence)
    assert 0 <= number <= most
    for extreme in (0.0, 1.0):
        for fewer in range(number):
            grown = [*values, *([extreme] * fewer)]
            left = num_missing(grown, most=most - fewer, threshold=0.5, confidence=confidence)
            assert left > 0
