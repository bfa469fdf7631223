"""Cutting a search afterwards gives what the search would have given under the budget."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prm_search.aggregation import Aggregation, aggregate
from prm_search.budget import UNLIMITED, Budget
from prm_search.course import Course, Cut, Round, Spending, within
from prm_search.errors import DataError
from prm_search.fakes import FakeGenerator, FakeGrader, FakeScorer
from prm_search.protocols import SearchAlgorithm
from prm_search.search import MCTS, BeamSearch, BestOfN
from prm_search.types import SearchResult, SearchStop
from prm_search.voting import Selection, group_answers
from tests.search.test_search_invariants import algorithms, budgets, generators, scorers, search


def cuts_of(result: SearchResult, *limits: Budget) -> list[Cut]:
    course = result.course
    assert course is not None
    groups: dict[int, int] = {}
    found = asyncio.run(group_answers(result.candidates, FakeGrader()))
    for number, group in enumerate(found):
        groups |= dict.fromkeys(group.members, number)
    return course.cuts(
        [within(limit) for limit in limits],
        groups=[groups.get(index) for index in range(len(result.candidates))],
        scores=[
            each.scores and aggregate(each.scores, course.aggregation) for each in result.candidates
        ],
    )


def sample_by_sample(algorithm: SearchAlgorithm) -> SearchAlgorithm:
    """Independent samples can be cut between any two, which a round of several cannot."""
    if isinstance(algorithm, BestOfN):
        return replace(algorithm, num_samples_per_round=1)
    return algorithm


@settings(deadline=None, max_examples=400)
@given(
    algorithms, generators, scorers, st.lists(budgets, min_size=1, max_size=4), st.integers(0, 9)
)
def test_a_cut_is_what_the_search_would_have_done(
    algorithm: SearchAlgorithm,
    generator: FakeGenerator,
    scorer: FakeScorer,
    limits: list[Budget],
    seed: int,
) -> None:
    whole = asyncio.run(search(algorithm, generator, scorer, seed=seed))
    for limit, found in zip(limits, cuts_of(whole, *limits), strict=True):
        stepwise = sample_by_sample(algorithm)
        real = asyncio.run(search(stepwise, generator, scorer, budget=limit, seed=seed))
        assert found.spent == Spending.of(real.ledger)
        if not isinstance(algorithm, MCTS):  # its last walks may find nothing new to draw
            assert found.is_cut == (real.stop_reason is SearchStop.BUDGET)
        if found.best is None:
            # without a solution, the real one has at most a prefix to show, and no answer
            assert real.best is None or not real.best.trajectory.is_finished
        else:
            assert real.best == whole.candidates[found.best]


@settings(deadline=None, max_examples=100)
@given(algorithms, generators, scorers, budgets, st.integers(0, 9))
def test_rounds_add_up_and_can_be_stored(
    algorithm: SearchAlgorithm,
    generator: FakeGenerator,
    scorer: FakeScorer,
    budget: Budget,
    seed: int,
) -> None:
    result = asyncio.run(search(algorithm, generator, scorer, budget=budget, seed=seed))
    course = result.course
    assert course is not None
    assert Course.from_json(course.to_json()) == course
    (whole,) = cuts_of(result, UNLIMITED)
    assert whole.spent == Spending.of(result.ledger)
    assert not whole.is_cut
    assert (None if whole.best is None else result.candidates[whole.best]) == result.best


def test_best_of_n_may_be_cut_between_any_two_samples() -> None:
    whole = asyncio.run(search(BestOfN(num_samples=6), FakeGenerator(), FakeScorer()))
    budgets = [Budget(max_generations=count) for count in range(1, 7)]
    found = cuts_of(whole, *budgets)
    assert [each.spent.num_generations for each in found] == [1, 2, 3, 4, 5, 6]
    assert [each.is_cut for each in found] == [True] * 5 + [False]


def test_a_beam_search_is_cut_between_depths_and_has_no_answer_before_one_has_ended() -> None:
    algorithm = BeamSearch(num_beams=4, num_expansions=2)
    whole = asyncio.run(search(algorithm, FakeGenerator(num_steps=3), FakeScorer()))
    found = cuts_of(whole, *(Budget(max_generations=count) for count in (1, 5, 9)))
    assert [each.spent.num_generations for each in found] == [4, 8, 12]
    assert [each.best is None for each in found] == [True, True, False]


def test_seconds_are_not_recorded() -> None:
    with pytest.raises(ValueError, match="seconds"):
        within(Budget(max_seconds=1.0))


def test_what_is_no_course_is_refused() -> None:
    course = Course(
        selection=Selection.argmax,
        aggregation=Aggregation.min,
        num_parts=1,
        rounds=(Round(part=0, num_known=0, cost=Spending(num_generations=1)),),
        candidate_rounds=(0,),
    )
    with pytest.raises(DataError, match="course"):
        Course.from_json({**course.to_json(), "rounds": {}})
    with pytest.raises(DataError, match="beyond"):
        replace(course, candidate_rounds=(1,))
    with pytest.raises(DataError, match="by part"):
        replace(course, rounds=(Round(part=1, num_known=0, cost=Spending()),))
    with pytest.raises(DataError, match="earlier"):
        replace(course, rounds=(Round(part=0, num_known=1, cost=Spending()),))
