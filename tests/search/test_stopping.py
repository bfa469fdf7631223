from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prm_search.search.stopping import Posterior, confidence, num_votes_missing


def exact_beta(first: int, second: int) -> float:
    """P(Beta(first + 1, second + 1) > 1/2), a sum of binomial coefficients."""
    num = first + second + 1
    return sum(comb(num, k) for k in range(first + 1)) / 2**num


@pytest.mark.parametrize("votes", [(1, 0), (4, 0), (3, 2), (20, 11), (40, 40), (900, 850)])
def test_the_beta_posterior_is_the_exact_one(votes: tuple[int, int]) -> None:
    expected = pytest.approx(exact_beta(*votes), abs=2e-6)
    assert confidence(votes, Posterior.beta) == expected
    assert confidence(votes, Posterior.dirichlet) == expected


def test_a_single_answer_is_compared_with_one_that_nobody_gave() -> None:
    for posterior in Posterior:
        assert [confidence([count], posterior) for count in (1, 2, 3, 4)] == [
            0.75,
            0.875,
            0.9375,
            0.96875,
        ]


def test_beta_compares_two_answers_and_dirichlet_all() -> None:
    votes = [2, 5, 3, 0, 1]
    assert confidence(votes, Posterior.beta) == pytest.approx(exact_beta(5, 3), abs=2e-6)
    samples = np.random.default_rng(0).dirichlet(np.add(votes, 1), 200_000)
    share = float((samples.argmax(axis=1) == 1).mean())
    assert confidence(votes, Posterior.dirichlet) == pytest.approx(share, abs=0.005)


def test_no_votes_settle_nothing() -> None:
    for posterior in Posterior:
        assert confidence([], posterior) == 0


votes = st.lists(st.integers(0, 30), min_size=1, max_size=8)


@given(votes, st.sampled_from(Posterior))
def test_another_vote_for_the_leader_makes_it_surer(votes: list[int], posterior: Posterior) -> None:
    before = confidence(votes, posterior)
    assert 0 <= before <= 1
    lead = votes.index(max(votes))
    votes = [count + (place == lead) for place, count in enumerate(votes)]
    assert confidence(votes, posterior) >= before


@given(votes)
def test_more_rivals_make_the_leader_less_sure(votes: list[int]) -> None:
    assert confidence(votes, Posterior.dirichlet) <= confidence(votes, Posterior.beta)


def test_missing_votes_by_hand() -> None:
    def missing(*votes: int, most: int = 40) -> int:
        return num_votes_missing(votes, required=0.95, posterior=Posterior.beta, most=most)

    assert [missing(), missing(1), missing(3), missing(4), missing(9)] == [4, 3, 1, 0, 0]
    assert [missing(1, 1), missing(1, 6), missing(1, 1, most=2)] == [5, 0, 2]


@given(votes, st.integers(0, 8), st.sampled_from(Posterior), st.sampled_from([0.6, 0.95]))
def test_one_more_vote_brings_the_end_nearer_by_one_at_most(
    votes: list[int], place: int, posterior: Posterior, required: float
) -> None:
    def missing(votes: list[int]) -> int:
        return num_votes_missing(votes, required=required, posterior=posterior, most=60)

    answers = [*votes, *[0] * 9]
    answers[place] += 1
    after = [count for count in answers if count]
    before = [count for count in votes if count]
    assert missing(after) >= missing(before) - 1
