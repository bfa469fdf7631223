"""Each rule against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from prm_search.errors import ConfigurationError
from prm_search.rewards.credit import (
    Clip,
    Delta,
    Last,
    Mean,
    Minimum,
    OutcomeCentering,
    ProcessGRPO,
    Product,
    Progress,
    Rated,
    ReturnRule,
    SoftMinimum,
    Sum,
)

# r = (0.8, -0.6, 0.4) at temperature 1: weights e^-0.8, e^0.6, e^-0.4 over their sum.
E = [math.exp(-0.8), math.exp(0.6), math.exp(-0.4)]
PURE = [0.8 * E[0] / sum(E), -0.6 * E[1] / sum(E), 0.4 * E[2] / sum(E)]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (Last(), [0.7, 0.7, 0.7]),
        (Mean(), [0.6, 0.6, 0.6]),
        (Product(), [0.126, 0.14, 0.7]),
        (Minimum(), [0.2, 0.2, 0.7]),
        (SoftMinimum(temperature=1.0), [sum(PURE), PURE[1] + PURE[2], PURE[2]]),
        (Sum(allow_hacking=True), [1.8, 0.9, 0.7]),
        (Sum(allow_hacking=True, discount=0.5), [1.175, 0.55, 0.7]),
        (Sum(allow_hacking=True, discount=0.0), [0.9, 0.2, 0.7]),
        (Clip(threshold=0.5), [-0.3, -0.3, 0.0]),
        (Clip(threshold=0.8), [-0.7, -0.7, -0.1]),
        (Delta(), [0.9, 0.2, 0.7]),
        (Delta(threshold=0.8), [0.0, -0.6, -0.1]),
    ],
    ids=str,
)
def test_returns_of_three_steps(rule: ReturnRule, expected: list[float]) -> None:
    assert rule.returns(np.array([0.9, 0.2, 0.7])) == pytest.approx(expected)


def test_returns_of_one_step_are_its_score_or_reward() -> None:
    for rule in (Last(), Mean(), Product(), Minimum(), Delta(), Sum(allow_hacking=True)):
        assert rule.returns(np.array([0.4])).tolist() == [0.4]
    assert SoftMinimum().returns(np.array([0.4])) == pytest.approx([-0.2])


def test_returns_are_compared_with_what_the_others_returned_from_the_same_place() -> None:
    group = [Rated(scores=np.array(scores)) for scores in ([0.9, 0.2, 0.7], [0.8], [0.6, 0.9])]
    # Returns: 0.2 0.2 0.7, 0.8 and 0.6 0.9; who has ended is taken at the last step.
    first, second, third = Minimum()(group)
    assert first == pytest.approx([0.2 - 0.7, 0.2 - 0.85, 0.7 - 0.85])
    assert second == pytest.approx([0.8 - 0.4])
    assert third == pytest.approx([0.6 - 0.5, 0.9 - 0.5])


def test_the_soft_minimum_tends_to_the_minimum() -> None:
    scores = np.array([0.9, 0.2, 0.7])
    assert SoftMinimum(temperature=1e-3).returns(scores) == pytest.approx([-0.6, -0.6, 0.0])


def test_deltas_telescope_to_the_step_itself() -> None:
    scores = np.array([0.9, 0.2, 0.7])
    rewards = [0.9 - 0.2, 0.2 - 0.7, 0.7]
    assert Delta().returns(scores) == pytest.approx([sum(rewards[k:]) for k in range(3)])


def test_process_grpo_normalizes_all_steps_of_the_group_and_sums_what_follows() -> None:
    # Pooled 0.9 0.8 0.9 0.3: mean 0.725, variance 0.061875.
    std = math.sqrt(0.061875)
    first, second = ProcessGRPO()(
        [Rated(scores=np.array([0.9, 0.8])), Rated(scores=np.array([0.9, 0.3]))]
    )
    assert first == pytest.approx([0.25 / std, 0.075 / std])
    assert second == pytest.approx([-0.25 / std, -0.425 / std])


def test_process_grpo_of_equal_scores_is_zero() -> None:
    group = [Rated(scores=np.array([0.1, 0.1])), Rated(scores=np.array([0.1]))]
    assert [values.tolist() for values in ProcessGRPO()(group)] == [[0.0, 0.0], [0.0]]


def test_progress_is_the_change_of_value_by_the_step() -> None:
    group = [Rated(scores=np.array([0.5, 0.75, 0.25])), Rated(scores=np.array([0.25]))]
    first, second = Progress()(group)
    assert first.tolist() == [0.125, 0.25, -0.5]
    assert second.tolist() == [-0.125]
    assert Progress(initial_value=0.25)(group)[0].tolist() == [0.25, 0.25, -0.5]


def test_wrong_rollouts_are_centered_among_themselves() -> None:
    group = [
        Rated(scores=np.array([0.9, 0.8]), outcome=1.0),
        Rated(scores=np.array([0.9, 0.3]), outcome=0.0),
        Rated(scores=np.array([0.4]), outcome=0.0),
        Rated(scores=np.array([0.45]), outcome=1.0),
    ]
    shifted = OutcomeCentering()(group)
    assert [values[0] for values in shifted] == pytest.approx([0.85, 0.1, -0.1, 0.45])
    assert len(shifted[0]) == 2
    shifted = OutcomeCentering(center_right=True)(group)
    assert [values[0] for values in shifted] == pytest.approx([0.2, 0.1, -0.1, -0.2])


def test_sum_has_to_be_asked_for_by_name() -> None:
    with pytest.raises(ConfigurationError, match="allow_hacking"):
        Sum()


@pytest.mark.parametrize(
    "make",
    [
        lambda: SoftMinimum(temperature=0.0),
        lambda: SoftMinimum(temperature=math.nan),
        lambda: Sum(allow_hacking=True, discount=1.1),
        lambda: Clip(threshold=0.0),
        lambda: Delta(threshold=1.5),
        lambda: Progress(initial_value=-0.1),
    ],
)
def test_impossible_settings_are_refused(make: type) -> None:
    with pytest.raises(ConfigurationError):
        make()
