"""What travels in `rm_scores`."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prm_search.errors import ConfigurationError, ScoringError
from prm_search.plugins.verl_rows import decode, encode, row_of_info
from prm_search.types import StepScores

STEPS = st.lists(st.tuples(st.floats(0, 1), st.integers(1, 5)), min_size=1, max_size=12)
OUTCOMES = st.one_of(st.none(), st.floats(0, 1))


def values(row: list[float]) -> tuple[float, ...]:
    scores = decode(np.array(row)).scores
    assert isinstance(scores, StepScores)
    return scores.values


@given(steps=STEPS, outcome=OUTCOMES, num_padding=st.integers(0, 3), seed=st.integers(0, 99))
def test_a_row_holds_scores_steps_and_outcome(
    steps: list[tuple[float, int]], outcome: float | None, num_padding: int, seed: int
) -> None:
    steps = [*steps, (0.5, 2)]
    scores, sizes = zip(*steps, strict=True)
    row = encode(scores, sizes, outcome)
    assert len(row) == sum(sizes)
    single = np.array(row, dtype=np.float32)
    reward = decode(np.array([*single, *[0.0] * num_padding], dtype=np.float64))
    assert isinstance(reward.scores, StepScores)
    assert reward.scores.values == pytest.approx(scores, abs=2**-15)
    assert [end - start for start, end in reward.spans] == [*sizes[:-1], 2 + num_padding]
    assert reward.outcome == (None if outcome is None else pytest.approx(outcome, abs=2**-15))
    total = np.float32(0)
    for value in random.Random(seed).sample(list(single), len(single)):
        total += value
    assert total == (-1.0 if outcome is None else reward.outcome)


def test_a_row_by_hand() -> None:
    assert encode([0.5, 0.25], [3, 2], 1.0) == [-1.5, 0.0, 2.5, -2.25, 2.25]
    assert encode([0.5, 0.25], [1, 2], 0.0) == [2.5, -4.75, 2.25]


@pytest.mark.parametrize(
    ("scores", "sizes", "expected"),
    [
        ([0.5, 0.25, 0.75], [2, 0, 3], (0.5, 0.25)),
        ([0.5, 0.25, 0.75], [2, 3, 0], (0.5, 0.25)),
        ([0.5, 0.75], [1, 1], (0.5,)),
        ([0.5, 0.25, 0.75], [1, 1, 1], (0.25, 0.75)),
    ],
)
def test_steps_without_room_are_one_with_their_neighbours(
    scores: list[float], sizes: list[int], expected: tuple[float, ...]
) -> None:
    row = encode(scores, sizes, 1.0)
    assert len(row) == sum(sizes)
    assert values(row) == expected
    assert decode(np.array(row)).outcome == 1.0


@pytest.mark.parametrize("outcome", [0.0, 1.0, None])
def test_a_single_token_has_a_score_and_almost_the_sum(outcome: float | None) -> None:
    for score in (0.0, 0.5, 1.0):
        (code,) = encode([score], [1], outcome)
        assert code == pytest.approx(-1.0 if outcome is None else outcome, abs=0.002)
        single = float(np.float32(code))
        assert values([single, 0.0]) == (pytest.approx(score, abs=1e-4),)
        assert decode(np.array([single])).outcome == outcome
    with pytest.raises(ScoringError, match=r"no room for the outcome 0\.5"):
        encode([0.5], [1], 0.5)


@pytest.mark.parametrize(
    "row",
    [[0, 0, 1.9], [0, 0, 2.5], [1.0], [0.5], [0, -1, 0], [-3.5, 0], [-2.5, 1], [-5, 2, 3.5]],
)
def test_rows_of_others_are_refused(row: list[float]) -> None:
    with pytest.raises(ConfigurationError, match="no step scores"):
        decode(np.array(row, dtype=np.float64))


def info(scores: object = (0.5, 0.25), sizes: object = (3, 2)) -> dict[str, object]:
    parts = {"step_scores": scores, "step_sizes": sizes, "outcome": 1.0}
    return {name: json.dumps(part) for name, part in parts.items()}


def test_a_row_comes_from_what_the_manager_says() -> None:
    assert row_of_info(info(), 5) == encode([0.5, 0.25], [3, 2], 1.0)
    assert row_of_info(info(scores=(), sizes=(2,)), 2) == encode([0.0], [2], 1.0)
    with pytest.raises(ConfigurationError, match="PrmRewardManager"):
        row_of_info({"score": 1.0}, 5)
    with pytest.raises(ConfigurationError, match="PRM or a judge"):
        row_of_info(info(scores=None), 5)
    with pytest.raises(ScoringError, match="5 tokens, the response 6"):
        row_of_info(info(), 6)
