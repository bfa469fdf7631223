from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prm_search.labeling.tally import StepState, Tally, stops

thresholds = st.sampled_from([0.0, 0.1, 0.125, 0.3, 0.5, 2 / 3, 0.7, 0.875, 0.99])
kinds = st.sampled_from("sssfffu")


def tally(outcomes: list[str]) -> Tally:
    return Tally(
        num_successes=outcomes.count("s"),
        num_failures=outcomes.count("f"),
        num_undecided=outcomes.count("u"),
    )


@given(st.lists(kinds, min_size=1, max_size=20), thresholds)
def test_what_is_decided_early_is_what_all_rollouts_decide(
    outcomes: list[str], threshold: float
) -> None:
    def state(num_drawn: int) -> StepState:
        return tally(outcomes[:num_drawn]).state(num_rollouts=len(outcomes), threshold=threshold)

    final = state(len(outcomes))
    assert final is not StepState.OPEN
    for num_drawn in range(len(outcomes)):
        assert state(num_drawn) in (StepState.OPEN, final)
    share = tally(outcomes).share
    if share is None:
        assert final is StepState.UNKNOWN
    else:
        assert (final is StepState.RIGHT) == (share > threshold)


def test_at_threshold_0_the_first_success_decides() -> None:
    assert tally(["s"]).state(num_rollouts=8, threshold=0.0) is StepState.RIGHT
    assert tally(["f"] * 7).state(num_rollouts=8, threshold=0.0) is StepState.OPEN
    assert tally(["f"] * 8).state(num_rollouts=8, threshold=0.0) is StepState.WRONG


def test_a_higher_threshold_can_be_missed_early() -> None:
    assert tally(["f"] * 4).state(num_rollouts=8, threshold=0.5) is StepState.WRONG
    assert tally(["s"] * 4).state(num_rollouts=8, threshold=0.5) is StepState.OPEN
    assert tally(["s"] * 5).state(num_rollouts=8, threshold=0.5) is StepState.RIGHT


def test_undecided_rollouts_do_not_count() -> None:
    assert tally(["u"] * 8).state(num_rollouts=8, threshold=0.0) is StepState.UNKNOWN
    assert tally(["u"] * 7 + ["f"]).state(num_rollouts=8, threshold=0.0) is StepState.WRONG
    assert tally(["u"] * 6 + ["s", "f"]).share == 0.5
    assert tally(["u"]).share is None


@pytest.mark.parametrize(
    ("waves", "num_rollouts", "expected"),
    [
        ([1, 1, 2, 4], 8, [1, 2, 4, 8]),
        ([1, 1, 2, 4], 3, [1, 2, 3]),
        ([1, 1, 2, 4], 1, [1]),
        ([1, 1, 2, 4], 13, [1, 2, 4, 8, 12, 13]),
        ([8], 4, [4]),
    ],
)
def test_waves_cover_all_rollouts(waves: list[int], num_rollouts: int, expected: list[int]) -> None:
    assert stops(waves, num_rollouts) == expected
