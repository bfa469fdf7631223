"""Intervals, paired differences, pass@k and maj@k against numbers worked by hand."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prm_search.statistics import (
    accuracy,
    bootstrap,
    majority_at_k,
    paired_difference,
    pass_at_k,
    sign_flip_p_value,
    wilson,
)

OUTCOMES = st.dictionaries(
    st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 3)), st.booleans(), min_size=1
)


def test_wilson_of_eight_in_ten():
    # z = 1.95996: center (0.8 + 0.192073) / 1.384146, half width 1.95996 * 0.159403 / 1.384146
    estimate = wilson(8, 10)
    assert estimate.value == 0.8
    assert estimate.interval == pytest.approx([0.490162, 0.943318], abs=1e-5)


def test_wilson_at_the_ends_is_not_a_point():
    # All of n right: low = n / (n + z^2), 10 / 13.841459
    assert wilson(10, 10).interval == pytest.approx([0.722467, 1.0], abs=1e-5)
    assert wilson(0, 10).interval == pytest.approx([0.0, 0.277533], abs=1e-5)


@pytest.mark.parametrize(("num_right", "num_total"), [(0, 0), (2, 1), (-1, 3)])
def test_wilson_refuses_what_is_no_proportion(num_right: int, num_total: int):
    with pytest.raises(ValueError, match="not a proportion"):
        wilson(num_right, num_total)


@given(st.integers(1, 500), st.data())
def test_wilson_holds_its_value_and_stays_in_the_unit_interval(total: int, data: st.DataObject):
    right = data.draw(st.integers(0, total))
    estimate = wilson(right, total)
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
    mirrored = wilson(total - right, total)
    assert mirrored.low == pytest.approx(1 - estimate.high)


def test_accuracy_of_one_seed_is_wilson():
    outcomes = {(str(index), 7): index < 8 for index in range(10)}
    assert accuracy(outcomes) == wilson(8, 10)


def test_accuracy_weighs_problems_not_outcomes():
    outcomes = {("a", 0): True, ("b", 0): False, ("b", 1): False, ("b", 2): False}
    assert accuracy(outcomes).value == 0.5


def test_seeds_that_agree_do_not_narrow_the_interval():
    """Five copies of each outcome hold no more news than one."""
    once = {(str(index), 0): index % 2 == 0 for index in range(40)}
    copied = {(name, seed): right for (name, _), right in once.items() for seed in range(5)}
    single, repeated = accuracy(once), accuracy(copied)
    assert repeated.value == single.value
    width = single.high - single.low
    assert repeated.high - repeated.low == pytest.approx(width, rel=0.1)


def test_all_right_on_several_seeds_is_still_uncertain():
    outcomes = {(str(problem), seed): True for problem in range(10) for seed in range(3)}
    assert accuracy(outcomes) == wilson(10, 10)


def test_no_outcomes_is_an_error_not_a_number():
    with pytest.raises(ValueError, match="no outcomes"):
        accuracy({})
    with pytest.raises(ValueError, match="no outcomes"):
        bootstrap([])


def test_bootstrap_of_two_values_by_hand():
    # The mean of two draws from (0, 1) is 0, 1/2, 1 with probability 1/4, 1/2, 1/4:
    # the 2.5 % and 97.5 % points are the ends, the 40 % and 60 % points are the middle.
    assert bootstrap([0, 1]).interval == [0.0, 1.0]
    assert bootstrap([0, 1], confidence=0.2).interval == [0.5, 0.5]


def test_bootstrap_repeats_with_its_seed():
    values = [0.1, 0.7, 0.4, 0.9]
    assert bootstrap(values, seed=1) == bootstrap(values, seed=1)


def test_paired_difference_by_hand():
    first = {("a", 0): True, ("a", 1): True, ("b", 0): True, ("b", 1): False, ("c", 0): True}
    second = {("a", 0): True, ("a", 1): False, ("b", 0): False, ("b", 1): False, ("d", 0): True}
    # Problem a: 1 - 1/2, problem b: 1/2 - 0; c and d are not shared.
    estimate = paired_difference(first, second)
    assert (estimate.value, estimate.low, estimate.high) == (0.5, 0.5, 0.5)


def test_pairing_takes_out_how_hard_a_problem_is():
    """Two methods that differ by a little on every problem are told apart."""
    first = {(str(index), 0): index < 60 for index in range(100)}
    second = {(str(index), 0): index < 50 for index in range(100)}
    apart = accuracy(first).low < accuracy(second).high
    assert apart
    assert paired_difference(first, second).low > 0


def test_paired_difference_needs_something_in_common():
    with pytest.raises(ValueError, match="in common"):
        paired_difference({("a", 0): True}, {("a", 1): True})


@given(OUTCOMES, OUTCOMES, st.randoms())
@settings(deadline=None, max_examples=40)
def test_estimates_do_not_depend_on_the_order_of_outcomes(first, second, random):  # type: ignore[no-untyped-def]
    shuffled = list(first.items())
    random.shuffle(shuffled)
    again = dict(shuffled)
    assert accuracy(again, num_resamples=50) == accuracy(first, num_resamples=50)
    if first.keys() & second.keys():
        forward = paired_difference(first, second, num_resamples=50)
        assert paired_difference(again, second, num_resamples=50) == forward
        assert -1 <= forward.low <= forward.value <= forward.high <= 1
        backward = paired_difference(second, again, num_resamples=50)
        assert backward.low == pytest.approx(-forward.high)


def test_pass_at_k_by_hand():
    assert pass_at_k(5, 2, 1) == pytest.approx(2 / 5)
    assert pass_at_k(5, 2, 2) == pytest.approx(1 - 3 / 10)
    assert pass_at_k(5, 2, 4) == 1.0
    assert pass_at_k(5, 0, 5) == 0.0


@given(st.integers(1, 8), st.data())
def test_pass_at_k_is_the_share_of_subsets_with_a_right_sample(num: int, data: st.DataObject):
    right, k = data.draw(st.integers(0, num)), data.draw(st.integers(1, num))
    subsets = list(itertools.combinations([index < right for index in range(num)], k))
    assert pass_at_k(num, right, k) == pytest.approx(sum(map(any, subsets)) / len(subsets))


@pytest.mark.parametrize(("num", "right", "k"), [(4, 5, 1), (4, -1, 1), (4, 2, 0), (4, 2, 5)])
def test_pass_at_k_refuses_what_cannot_be(num: int, right: int, k: int):
    with pytest.raises(ValueError, match=r"cannot be right|k must be"):
        pass_at_k(num, right, k)


def test_majority_of_the_whole_pool_is_the_vote():
    assert majority_at_k([1, 1, 2], 1, [3]) == [1.0]
    assert majority_at_k([1, 1, 2], 2, [3]) == [0.0]
    assert majority_at_k([None, None, None, 4], 4, [4]) == [1.0]
    assert majority_at_k([None, None], None, [1, 2]) == [0.0, 0.0]


def test_majority_of_one_is_the_share_of_right_samples():
    assert majority_at_k([1, 1, 1, 2], 1, [1], num_orders=4_000) == [pytest.approx(0.75, abs=0.03)]


def test_majority_at_two_by_hand():
    # Ordered pairs of (1, 1, 2): first wins a tie, so P = P(first is 1) = 2/3.
    (at_two,) = majority_at_k([1, 1, 2], 1, [2], num_orders=4_000)
    assert at_two == pytest.approx(2 / 3, abs=0.03)


def test_majority_grows_when_most_samples_are_right():
    curve = majority_at_k([1] * 10 + [2] * 6, 1, [1, 5, 9, 16])
    assert curve == sorted(curve)
    assert curve[-1] == 1.0


def test_majority_refuses_a_size_beyond_the_pool():
    with pytest.raises(ValueError, match="k must be"):
        majority_at_k([1, 2], 1, [3])


def outcomes(*rights: int, seed: int = 0) -> dict[tuple[str, int], bool]:
    return {(f"p{number}", seed): bool(right) for number, right in enumerate(rights)}


def test_the_sign_flip_test_with_one_seed_is_the_exact_test_of_mcnemar() -> None:
    first = outcomes(*[1] * 9, *[0] * 2, *[1] * 20, *[0] * 5)
    second = outcomes(*[0] * 9, *[1] * 2, *[1] * 20, *[0] * 5)
    tail = sum(math.comb(11, count) for count in range(3)) / 2**11
    assert sign_flip_p_value(first, second) == pytest.approx(2 * tail)
    assert sign_flip_p_value(second, first) == pytest.approx(2 * tail)


def test_seeds_of_a_problem_count_as_one_difference() -> None:
    better = {("p", seed): True for seed in range(30)}
    worse = dict.fromkeys(better, False)
    assert sign_flip_p_value(better, worse) == 1.0  # one problem shows nothing
    first = {**outcomes(1, 1, 0), **outcomes(1, 0, 0, seed=1)}
    second = {**outcomes(0, 0, 0), **outcomes(0, 0, 1, seed=1)}
    # differences of 2, 1 and -1: their sum is at least 2 either way for 6 of 8 signs
    assert sign_flip_p_value(first, second) == pytest.approx(6 / 8)
    assert sign_flip_p_value(first, first) == 1.0


def test_problems_with_fewer_seeds_weigh_the_same() -> None:
    first = {("a", 0): True, ("a", 1): True, ("b", 0): True}
    second = dict.fromkeys(first, False)
    assert sign_flip_p_value(first, second) == pytest.approx(2 / 4)
    with pytest.raises(ValueError, match="in common"):
        sign_flip_p_value({("a", 0): True}, {("b", 0): True})
