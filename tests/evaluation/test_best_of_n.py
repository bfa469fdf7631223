from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prm_search.evaluation.best_of_n import (
    Rank,
    best_at_k,
    best_of_n_report,
    sizes_up_to,
)
from prm_search.statistics import majority_at_k, pass_at_k
from prm_search.types import Usage
from tests.evaluation.results import UNREADABLE, result


def brute_force(ranks: list[Rank | None], right: list[bool], k: int) -> float:
    """The mean over all subsets, ties broken evenly."""
    found: list[float] = []
    for subset in itertools.combinations(range(len(ranks)), k):
        known = [(rank, right[i]) for i in subset if (rank := ranks[i]) is not None]
        best = [is_right for rank, is_right in known if rank == max(r for r, _ in known)]
        # Equal ranks share the place with all their equals of the whole pool.
        if best:
            top = max(rank for rank, _ in known)
            equals = [r for r, rank in zip(right, ranks, strict=True) if rank == top]
            found.append(sum(equals) / len(equals))
        else:
            found.append(0.0)
    return sum(found) / len(found)


@given(st.integers(0, 10_000), st.integers(1, 7))
@settings(max_examples=60)
def test_the_closed_form_is_the_mean_over_all_subsets(seed: int, num_samples: int) -> None:
    rng = random.Random(seed)
    ranks: list[Rank | None] = [
        None if rng.random() < 0.2 else (rng.random() < 0.8, rng.choice([0.1, 0.5, 0.9]))
        for _ in range(num_samples)
    ]
    right = [rng.random() < 0.5 for _ in range(num_samples)]
    sizes = list(range(1, num_samples + 1))
    expected = [brute_force(ranks, right, k) for k in sizes]
    assert best_at_k(ranks, right, sizes) == pytest.approx(expected)


def test_a_perfect_prm_reaches_pass_at_k() -> None:
    right = [True, False, False, True, False]
    ranks: list[Rank | None] = [(True, float(is_right)) for is_right in right]
    assert best_at_k(ranks, right, [1, 2, 3]) == pytest.approx(
        [pass_at_k(5, 2, k) for k in (1, 2, 3)]
    )


def test_an_answer_comes_before_a_score_and_no_score_is_never_chosen() -> None:
    ranks: list[Rank | None] = [(True, 0.1), (False, 0.9), None]
    assert best_at_k(ranks, [True, False, True], [3]) == [1.0]
    assert best_at_k([None, None], [True, True], [1, 2]) == [0.0, 0.0]


def test_a_k_beyond_the_pool_is_refused() -> None:
    with pytest.raises(ValueError, match=r"in \[1, 2\]"):
        best_at_k([None, None], [True, True], [3])


def test_sizes_are_powers_of_two_and_the_pool() -> None:
    assert sizes_up_to(12) == [1, 2, 4, 8, 12]
    assert sizes_up_to(8) == [1, 2, 4, 8]


def test_a_pool_worked_out_by_hand() -> None:
    # Right answers 7, 7; wrong ones 3, 4. By `last` a wrong one is best, by `min` a right one.
    rows = [
        ("7", True, [0.8, 0.7]),
        ("7", True, [0.6, 0.5]),
        ("3", False, [0.1, 0.9]),
        ("4", False, [0.2, 0.2]),
    ]
    results = [
        result(
            f"p/{place}",
            problem="p",
            answer=answer,
            is_right=is_right,
            scores=scores,
            num_tokens=10,
            usage=Usage(prompt_tokens=8, cached_tokens=3),
        )
        for place, (answer, is_right, scores) in enumerate(rows)
    ]
    report = best_of_n_report(results, num_resamples=50)
    assert report is not None
    last = {method: report.of(method)[-1] for method in ("pass", "majority", "min", "last", "mean")}
    assert {name: point.accuracy.value for name, point in last.items()} == {
        "pass": 1.0,
        "majority": 1.0,
        "min": 1.0,
        "last": 0.0,
        "mean": 1.0,
    }
    first = [point.accuracy.value for point in report.points if point.k == 1]
    assert first == pytest.approx([0.5] * 6, abs=0.05)  # majority is a mean of random draws
    # 5 of 8 PRM tokens were computed, so a scored sample costs 15 tokens and a vote 10.
    assert (last["majority"].tokens, last["min"].tokens) == (40, 60)
    two = next(point for point in report.of("min") if point.k == 2)
    assert two.equal_tokens is not None
    assert two.equal_tokens.k == 3
    assert last["min"].equal_tokens is None  # 60 tokens pay for six votes; there are four
    right = majority_at_k([0, 0, 1, 2], 0, [3], seed=0)[0]
    assert two.equal_tokens.majority.value == pytest.approx(right, abs=0.05)
    assert report.num_without_scores == 0


def test_equal_tokens_of_a_free_prm_compare_the_same_k() -> None:
    results = [
        result(
            f"p{problem}/{sample}",
            problem=f"p{problem}",
            answer=str(sample),
            is_right=sample == 0,
            scores=[0.5],
            num_tokens=9,
        )
        for problem in range(3)
        for sample in range(4)
    ]
    report = best_of_n_report(results, num_resamples=50)
    assert report is not None
    for point in report.of("last"):
        assert point.equal_tokens is not None
        assert point.equal_tokens.k == point.k


def test_a_judge_chooses_by_its_votes() -> None:
    results = [
        result("a", problem="p", answer="1", is_right=False, votes=[0, None, UNREADABLE]),
        result("b", problem="p", answer="2", is_right=True, votes=[None, None, 1]),
        result("c", problem="p", answer="3", is_right=False, votes=[UNREADABLE]),
    ]
    report = best_of_n_report(results, num_resamples=50)
    assert report is not None
    assert report.of("votes")[-1].accuracy.value == 1
    assert report.num_without_scores == 1
    assert report.of("min") == ()


def test_without_known_answers_there_is_no_report() -> None:
    assert best_of_n_report([result("a"), result("b")]) is None
