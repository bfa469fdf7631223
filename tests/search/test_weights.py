from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prm_search.search.weights import (
    draw_independent,
    draw_systematic,
    effective_sample_size,
    log_odds,
    softmax,
)

Draw = Callable[[Sequence[float], int, random.Random], list[int]]
logits = st.lists(st.floats(-20, 20), min_size=1, max_size=20)
WEIGHTS = [0.05, 0.0, 0.5, 0.15, 0.3]


def test_weights_by_hand() -> None:
    assert softmax([0.0, math.log(3)]) == pytest.approx([0.25, 0.75])
    assert softmax([1000.0, 1000.0]) == [0.5, 0.5]
    assert log_odds(0.5) == 0
    assert log_odds(0.9) == pytest.approx(math.log(9))
    assert math.isfinite(log_odds(0.0))
    assert log_odds(1.0) == pytest.approx(-log_odds(0.0))


def test_effective_sample_size_by_hand() -> None:
    assert effective_sample_size([0.25] * 4) == pytest.approx(4)
    assert effective_sample_size([1.0, 0.0, 0.0]) == 1
    assert effective_sample_size([0.5, 0.25, 0.25]) == pytest.approx(8 / 3)


@given(logits)
def test_effective_sample_size_lies_between_one_and_all(logits: list[float]) -> None:
    size = effective_sample_size(softmax(logits))
    assert 1 - 1e-9 <= size <= len(logits) + 1e-9


@given(logits, st.integers(1, 30), st.integers(0, 1000))
def test_systematic_draws_are_off_their_shares_by_less_than_one(
    logits: list[float], count: int, seed: int
) -> None:
    weights = softmax(logits)
    drawn = draw_systematic(weights, count, random.Random(seed))
    assert drawn == sorted(drawn)
    assert len(drawn) == count
    times = Counter(drawn)
    assert all(abs(times[i] - count * weight) < 1 + 1e-9 for i, weight in enumerate(weights))


@pytest.mark.parametrize("draw", [draw_systematic, draw_independent])
def test_draws_are_unbiased(draw: Draw) -> None:
    num_draws, count = 4000, 6
    times = Counter(
        index for seed in range(num_draws) for index in draw(WEIGHTS, count, random.Random(seed))
    )
    for index, weight in enumerate(WEIGHTS):
        # five standard errors of independent draws, which are the noisier ones
        margin = 5 * math.sqrt(count * weight * (1 - weight) / num_draws)
        assert times[index] / num_draws == pytest.approx(count * weight, abs=margin)


def test_systematic_draws_are_less_noisy() -> None:
    def variance(draw: Draw) -> float:
        counts = [draw(WEIGHTS, 6, random.Random(seed)).count(4) for seed in range(1000)]
        mean = sum(counts) / len(counts)
        return sum((count - mean) ** 2 for count in counts) / len(counts)

    assert variance(draw_systematic) < variance(draw_independent) / 4


def test_a_pattern_in_the_order_does_not_show_in_the_draws() -> None:
    weights = [0.012, 0.008] * 50
    for seed in range(20):
        drawn = draw_systematic(weights, 100, random.Random(seed))
        assert sum(index % 2 == 0 for index in drawn) in (59, 60, 61)


def test_even_weights_give_each_once() -> None:
    assert draw_systematic([0.2] * 5, 5, random.Random(3)) == [0, 1, 2, 3, 4]
