"""Process and outcome together, and what becomes of failures."""

from __future__ import annotations

import math

import pytest

from prm_search.errors import ConfigurationError, ScoringError
from prm_search.rewards import Reward
from prm_search.rewards.credit import (
    GroupCredit,
    Minimum,
    OutcomeBaseline,
    OutcomeCentering,
    ProcessGRPO,
    Sum,
)
from prm_search.types import StepScores
from tests.rewards.groups import BROKEN, reward


def test_the_default_is_the_minimum_and_the_outcome() -> None:
    first, second = GroupCredit()([reward([0.9, 0.8], 1.0), reward([0.9, 0.3], 0.0)])
    assert first.steps == pytest.approx((0.5 + 1, 0.5 + 1))
    assert second.steps == pytest.approx((-0.5 - 1, -0.5 - 1))


def test_weights_scale_the_parts() -> None:
    credit = GroupCredit(process_weight=2.0, outcome_weight=0.5)
    first, _ = credit([reward([0.9, 0.8], 1.0), reward([0.9, 0.3], 0.0)])
    assert first.steps == pytest.approx((2 * 0.5 + 0.5, 2 * 0.5 + 0.5))


def test_outcomes_alone_need_no_scores() -> None:
    credit = GroupCredit(process=None)
    group = [reward(None, outcome, num_steps=2) for outcome in (1.0, 0.0, 0.0, 1.0)]
    assert [credited.steps[0] for credited in credit(group)] == pytest.approx(
        [2 / 3, -2 / 3, -2 / 3, 2 / 3]
    )


def test_normalized_outcomes_are_those_of_grpo() -> None:
    credit = GroupCredit(process=None, outcome_baseline=OutcomeBaseline.normalized)
    group = [reward(None, outcome, num_steps=1) for outcome in (1.0, 0.0, 0.0, 0.0)]
    std = math.sqrt(3 / 16)
    assert [credited.steps[0] for credited in credit(group)] == pytest.approx(
        [0.75 / std, -0.25 / std, -0.25 / std, -0.25 / std]
    )
    assert credit([reward(None, 1.0, num_steps=1)] * 3)[0].steps == (0.0,)


def test_without_scores_the_outcome_still_counts() -> None:
    scored, failed, other = GroupCredit()(
        [reward([0.8], 1.0), reward(BROKEN, 1.0, num_steps=3), reward([0.2], 0.0)]
    )
    assert failed.steps == pytest.approx((0.5,) * 3)
    assert not failed.is_masked
    assert failed.failures == (BROKEN,)
    assert scored.steps == pytest.approx((0.6 + 0.5,))
    assert other.steps == pytest.approx((-0.6 - 1.0,))


def test_without_an_outcome_the_process_still_counts() -> None:
    first, second = GroupCredit()([reward([0.8], BROKEN), reward([0.2], 1.0)])
    assert first.steps == pytest.approx((0.6,))
    assert second.steps == pytest.approx((-0.6,))
    assert first.failures == (BROKEN,)


def test_centering_leaves_out_a_rollout_without_an_outcome() -> None:
    credit = GroupCredit(process=OutcomeCentering())
    group = [reward([0.9], BROKEN), reward([0.8], 0.0), reward([0.4], 0.0)]
    credited = credit(group)
    assert credited[0].is_masked
    assert [rollout.steps[0] for rollout in credited[1:]] == pytest.approx([0.2, -0.2])


def test_an_empty_completion_counts_as_a_step_that_is_not_right() -> None:
    empty, good = GroupCredit()([reward([], 0.0), reward([0.9, 0.6], 1.0)])
    assert empty.steps == ()
    assert empty.rest == pytest.approx(-0.6 - 1)
    assert good.steps == pytest.approx((0.6 + 1, 0.6 + 1))


def test_a_single_rollout_has_nothing_to_be_compared_with() -> None:
    (alone,) = GroupCredit()([reward([0.9, 0.1], 1.0)])
    assert alone.steps == (0.0, 0.0)
    assert not alone.is_masked
    assert GroupCredit()([]) == []


def test_one_number_for_frameworks_that_take_no_more() -> None:
    credit = GroupCredit(outcome_weight=0.5)
    assert credit.scalar(reward([0.9, 0.2, 0.7], 1.0)) == pytest.approx(0.2 + 0.5)
    assert credit.scalar(reward([], 0.0)) == 0.0
    assert credit.scalar(reward(BROKEN, 1.0, num_steps=2)) is None
    assert credit.scalar(reward([0.9], BROKEN)) is None
    assert GroupCredit(process=None).scalar(reward(None, 1.0, num_steps=2)) == 1.0


def test_a_rule_that_compares_rollouts_has_no_number_for_one() -> None:
    with pytest.raises(ConfigurationError, match="ProcessGRPO"):
        GroupCredit(process=ProcessGRPO()).scalar(reward([0.9], 1.0))


def test_a_source_without_what_is_needed_is_a_wrong_setting() -> None:
    with pytest.raises(ConfigurationError, match="step scores"):
        GroupCredit()([reward(None, 1.0, num_steps=1)])
    with pytest.raises(ConfigurationError, match="outcomes"):
        GroupCredit()([reward([0.5], None)])


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="neither"):
        GroupCredit(process=None, outcome_weight=0)
    with pytest.raises(ConfigurationError, match="neither"):
        GroupCredit(process=Minimum(), process_weight=0, outcome_weight=0)
    with pytest.raises(ConfigurationError, match="process_weight"):
        GroupCredit(process_weight=-1)
    with pytest.raises(ConfigurationError, match="outcome_weight"):
        GroupCredit(outcome_weight=math.nan)
    with pytest.raises(ConfigurationError, match="allow_hacking"):
        GroupCredit(process=Sum())


def test_scores_that_are_no_numbers_never_become_rewards() -> None:
    with pytest.raises(ScoringError):
        reward([0.5, math.nan], 1.0)
    with pytest.raises(ScoringError):
        reward([0.5], math.nan)
    with pytest.raises(ScoringError):
        reward([0.5], 1.5)


def test_a_reward_has_a_score_for_each_span() -> None:
    with pytest.raises(ScoringError, match="1 scores for 2 steps"):
        Reward(spans=((0, 3), (3, 5)), scores=StepScores(values=(0.5,)))
    with pytest.raises(ValueError, match="overlap"):
        Reward(spans=((0, 3), (2, 5)))
