"""What holds for every group."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prm_search.rewards import Reward
from prm_search.rewards.credit import (
    Clip,
    Delta,
    GroupCredit,
    Last,
    Mean,
    Minimum,
    ProcessGRPO,
    Product,
    Progress,
    Rated,
    ReturnRule,
    SoftMinimum,
    Sum,
    pad,
    spread_over_sizes,
)
from prm_search.types import Failure
from tests.rewards.groups import BROKEN, CREDITS, groups, reward, score_lists

FILLER_PROOF = [Minimum(), Product(), Clip(), Clip(threshold=0.9), Delta(), Delta(threshold=0.5)]
SUMS = [Sum(allow_hacking=True), Sum(allow_hacking=True, discount=0.9)]
ROUNDING = 1e-12

few = settings(max_examples=25)
"""For what is asked of each of the many credits."""
all_credits = pytest.mark.parametrize("credit", CREDITS.values(), ids=CREDITS)
scores_with_a_place = score_lists().flatmap(
    lambda scores: st.tuples(st.just(scores), st.integers(0, len(scores) - 1))
)
scores_with_a_gap = score_lists().flatmap(
    lambda scores: st.tuples(st.just(scores), st.integers(0, len(scores)))
)


def with_filler(scores: list[float], place: int, filler: float) -> list[float]:
    return [*scores[:place], filler, *scores[place:]]


def returns(rule: ReturnRule, scores: list[float]) -> list[float]:
    return rule.returns(np.array(scores)).tolist()


@all_credits
@few
@given(group=groups(), seed=st.integers(0, 1000))
def test_the_order_of_the_group_does_not_matter(
    credit: GroupCredit, group: list[Reward], seed: int
) -> None:
    order = random.Random(seed).sample(range(len(group)), len(group))
    shuffled = credit([group[index] for index in order])
    straight = credit(group)
    assert shuffled == [straight[index] for index in order]


@all_credits
@few
@given(group=groups())
def test_every_step_has_a_finite_advantage(credit: GroupCredit, group: list[Reward]) -> None:
    for given_, credited in zip(group, credit(group), strict=True):
        assert len(credited.steps) == len(given_.spans)
        assert all(map(math.isfinite, [*credited.steps, credited.rest]))
        assert credited.failures == given_.failures


@all_credits
@few
@given(group=groups(), place=st.integers(0, 6), num_steps=st.integers(0, 4))
def test_a_rollout_that_failed_changes_nothing_for_the_others(
    credit: GroupCredit, group: list[Reward], place: int, num_steps: int
) -> None:
    place = min(place, len(group))
    failed = reward(BROKEN, BROKEN, num_steps=num_steps)
    credited = credit([*group[:place], failed, *group[place:]])
    assert credited[:place] + credited[place + 1 :] == credit(group)
    assert credited[place].is_masked
    assert credited[place].steps == (0.0,) * num_steps
    assert credited[place].failures == (BROKEN, BROKEN)


@all_credits
@few
@given(group=groups())
def test_masked_is_exactly_what_has_failed_in_all_that_counts(
    credit: GroupCredit, group: list[Reward]
) -> None:
    for given_, credited in zip(group, credit(group), strict=True):
        no_scores = credit.process is None or isinstance(given_.scores, Failure)
        if credit.process is not None and credit.process.needs_outcome:
            no_scores |= isinstance(given_.outcome, Failure)
        no_outcome = credit.outcome_weight == 0 or isinstance(given_.outcome, Failure)
        assert credited.is_masked == (no_scores and no_outcome)


@all_credits
@few
@given(group=groups(), sizes=st.lists(st.integers(1, 5), min_size=6, max_size=6))
def test_padding_does_not_matter(
    credit: GroupCredit, group: list[Reward], sizes: list[int]
) -> None:
    rows = [
        spread_over_sizes(credited, sizes[: max(len(credited.steps), 1)])
        for credited in credit(group)
    ]
    tight, wide = pad(rows), pad(rows, 100)
    assert (wide[:, : tight.shape[1]] == tight).all()
    assert not wide[:, tight.shape[1] :].any()
    for row, matrix_row in zip(rows, wide, strict=True):
        assert (matrix_row[: len(row)] == row).all()
        assert not matrix_row[len(row) :].any()


@pytest.mark.parametrize("name", ["outcome", "last", "mean", "min", "process_grpo"])
@given(scores=score_lists(), size=st.integers(1, 5))
def test_a_group_of_equals_has_nothing_to_learn(name: str, scores: list[float], size: int) -> None:
    equal = [scores[0]] * len(scores)
    for credited in CREDITS[name]([reward(equal, 1.0)] * size):
        assert set(credited.steps) == {0.0}


@pytest.mark.parametrize("rule", FILLER_PROOF, ids=str)
@given(example=scores_with_a_gap, filler=st.floats(0, 1))
def test_filler_anywhere_raises_no_return(
    rule: ReturnRule, example: tuple[list[float], int], filler: float
) -> None:
    scores, place = example
    longer = returns(rule, with_filler(scores, place, filler))
    del longer[place]
    for after, before in zip(longer, returns(rule, scores), strict=True):
        assert after <= before + ROUNDING


@pytest.mark.parametrize("rule", [*FILLER_PROOF, Last()], ids=str)
@given(example=scores_with_a_place)
def test_splitting_a_step_into_identical_halves_raises_no_return(
    rule: ReturnRule, example: tuple[list[float], int]
) -> None:
    scores, place = example
    split = returns(rule, with_filler(scores, place, scores[place]))
    before = returns(rule, scores)
    before.insert(place, before[place])
    for after, before_ in zip(split, before, strict=True):
        assert after <= before_ + ROUNDING


@pytest.mark.parametrize("rule", SUMS, ids=str)
@given(example=scores_with_a_gap, filler=st.floats(0.01, 1))
def test_a_sum_pays_for_filler(
    rule: ReturnRule, example: tuple[list[float], int], filler: float
) -> None:
    scores, place = example
    # Under a discount only filler that is better than what it delays, so put it at the end.
    place = place if rule == SUMS[0] else len(scores)
    longer = returns(rule, with_filler(scores, place, filler))
    for after, before in zip(longer[:place], returns(rule, scores)[:place], strict=True):
        assert after > before


@given(example=scores_with_a_place)
def test_a_sum_pays_for_splitting_a_step(example: tuple[list[float], int]) -> None:
    scores, place = example
    scores = [max(score, 0.01) for score in scores]
    split = returns(SUMS[0], with_filler(scores, place, scores[place]))
    assert all(
        after > before
        for after, before in zip(split, returns(SUMS[0], scores)[: place + 1], strict=False)
    )


@given(example=scores_with_a_place, filler=st.floats(0, 1))
def test_filler_before_the_end_does_not_touch_the_last_step(
    example: tuple[list[float], int], filler: float
) -> None:
    scores, place = example
    longer = returns(Last(), with_filler(scores, place, filler))
    assert longer[0] == returns(Last(), scores)[0]


@given(example=scores_with_a_gap, share=st.floats(0, 1))
def test_the_mean_rises_by_filler_only_if_that_is_above_it(
    example: tuple[list[float], int], share: float
) -> None:
    scores, place = example
    mean = returns(Mean(), scores)[0]
    assert returns(Mean(), with_filler(scores, place, share * mean))[0] <= mean + ROUNDING
    assert returns(Mean(), with_filler(scores, place, 1.0))[0] >= mean - ROUNDING


@given(scores=score_lists(max_size=12), temperature=st.floats(0.01, 2))
def test_the_soft_minimum_exceeds_the_minimum_by_at_most_its_bound(
    scores: list[float], temperature: float
) -> None:
    lowest = 2 * min(scores) - 1
    soft = returns(SoftMinimum(temperature=temperature), scores)[0]
    assert lowest - ROUNDING <= soft <= lowest + temperature * math.log(len(scores)) + ROUNDING


@given(example=scores_with_a_place)
def test_a_step_without_progress_earns_nothing_and_changes_nothing(
    example: tuple[list[float], int],
) -> None:
    scores, place = example
    rule = Progress(initial_value=0.5)
    (before,) = rule([Rated(scores=np.array(scores))])
    (after,) = rule([Rated(scores=np.array(with_filler(scores, place + 1, scores[place])))])
    assert after[place + 1] == 0.0
    assert np.delete(after, place + 1).tolist() == before.tolist()


def test_process_grpo_pays_for_filler_above_the_mean() -> None:
    other = Rated(scores=np.array([0.2]))
    short, _ = ProcessGRPO()([Rated(scores=np.array([0.8])), other])
    long, _ = ProcessGRPO()([Rated(scores=np.array([0.8] * 5)), other])
    assert long[0] > short[0]


@given(
    group=st.lists(score_lists(), min_size=2, max_size=5),
    place=st.integers(0, 5),
    filler=st.none() | st.floats(0, 1),
)
def test_by_default_nobody_gains_by_cutting_a_step_in_two_or_by_filler(
    group: list[list[float]], place: int, filler: float | None
) -> None:
    place %= len(group[0])
    credit = GroupCredit()
    before = list(credit([reward(scores, 1.0) for scores in group])[0].steps)
    inserted = group[0][place] if filler is None else filler
    longer = [with_filler(group[0], place, inserted), *group[1:]]
    after = list(credit([reward(scores, 1.0) for scores in longer])[0].steps)
    del after[place]
    for with_it, without in zip(after, before, strict=True):
        assert with_it <= without + ROUNDING


@given(group=st.lists(score_lists(), min_size=2, max_size=5))
def test_what_a_rollout_is_compared_with_does_not_depend_on_itself(
    group: list[list[float]],
) -> None:
    rule = Minimum()
    rated = [Rated(scores=np.array(scores)) for scores in group]
    baseline = returns(rule, group[0]) - rule(rated)[0]
    rated[0] = Rated(scores=np.full(len(group[0]), 0.5))
    assert 0.5 - rule(rated)[0] == pytest.approx(baseline)


@given(group=st.lists(score_lists(), min_size=2, max_size=5))
def test_from_the_first_step_on_advantages_cancel_within_the_group(
    group: list[list[float]],
) -> None:
    credited = GroupCredit()([reward(scores, index % 2) for index, scores in enumerate(group)])
    assert math.fsum(rollout.steps[0] for rollout in credited) == pytest.approx(0, abs=1e-9)
