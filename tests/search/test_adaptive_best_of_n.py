from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prm_search.budget import UNLIMITED, Budget
from prm_search.errors import ConfigurationError
from prm_search.fakes import FakeGenerator, FakeGrader, FakeScorer
from prm_search.search import AdaptiveBestOfN, BestOfN
from prm_search.types import Problem, SearchResult, SearchStop
from prm_search.voting import Selection
from tests.search.scripted import (
    ScriptedGenerator,
    ScriptedScorer,
    best_text,
    end,
    run,
)


async def test_it_stops_when_vote_and_prm_agree() -> None:
    generator = ScriptedGenerator({"": [end(1)] * 16})
    result = await run(AdaptiveBestOfN(), generator, ScriptedScorer({end(1): 0.5}))
    assert result.ledger.num_generations == 4
    assert result.stop_reason is SearchStop.FINISHED
    assert best_text(result) == end(1)


async def test_a_settled_vote_that_the_prm_does_not_like_goes_on() -> None:
    texts = [end(1), end(2), *[end(1)] * 10, end(1) + " ", *[end(1)] * 3]
    scores = {end(1): 0.3, end(2): 0.6}
    # the vote is settled at 6 to 1, but the PRM prefers 2 to the end
    result = await run(AdaptiveBestOfN(), ScriptedGenerator({"": texts}), ScriptedScorer(scores))
    assert result.ledger.num_generations == 16
    # unless a better solution comes up that gives the answer of the vote
    scores[end(1) + "!"] = 0.7
    texts[12] = end(1) + "!"
    result = await run(AdaptiveBestOfN(), ScriptedGenerator({"": texts}), ScriptedScorer(scores))
    assert result.ledger.num_generations == 13


async def test_a_prm_that_likes_a_minority_keeps_a_habitual_error_from_ending_the_search() -> None:
    texts = [*[end(1)] * 3, end(2), *[end(1)] * 4]
    scores = {end(1): 0.1, end(2): 0.9}
    result = await run(
        AdaptiveBestOfN(max_samples=8), ScriptedGenerator({"": texts}), ScriptedScorer(scores)
    )
    assert result.ledger.num_generations == 8
    assert best_text(result) == end(2)  # .9 against 7 times .1


async def test_solutions_without_a_score_vote_but_are_not_what_the_prm_likes() -> None:
    generator = ScriptedGenerator({"": [end(1)] * 8})
    result = await run(AdaptiveBestOfN(max_samples=8), generator, ScriptedScorer({}))
    assert result.ledger.num_generations == 8
    assert result.best is None


async def test_the_best_solution_without_an_answer_does_not_count() -> None:
    texts = ["no answer", *[end(1)] * 15]
    scores = {"no answer": 0.9, end(1): 0.5}
    result = await run(AdaptiveBestOfN(), ScriptedGenerator({"": texts}), ScriptedScorer(scores))
    assert result.ledger.num_generations == 5


async def search(
    algorithm: AdaptiveBestOfN | BestOfN, seed: int, budget: Budget = UNLIMITED
) -> SearchResult:
    return await algorithm(
        Problem(id="p", prompt="?"),
        generator=FakeGenerator(error_rate=0.2),
        scorer=FakeScorer(),
        grader=FakeGrader(),
        budget=budget,
        seed=seed,
    )


@settings(deadline=None, max_examples=60)
@given(st.integers(6, 20), st.floats(0.5, 0.99), st.integers(0, 1000))
async def test_it_never_draws_more_than_n_and_sees_a_beginning_of_best_of_n(
    max_samples: int, confidence: float, seed: int
) -> None:
    short = await search(
        AdaptiveBestOfN(
            max_samples=max_samples,
            confidence=confidence,
        ),
        seed,
    )
    assert short.ledger.num_generations <= max_samples
    whole = await search(BestOfN(num_samples=max_samples), seed)
    assert short.candidates == whole.candidates[: len(short.candidates)]


async def test_it_spends_less_where_problems_are_easy() -> None:
    results = [await search(AdaptiveBestOfN(max_samples=32), seed) for seed in range(40)]
    drawn = [result.ledger.num_generations for result in results]
    assert min(drawn) == 4
    assert sum(drawn) / len(drawn) < 20


async def test_a_budget_stops_it_at_once() -> None:
    result = await search(AdaptiveBestOfN(), 0, Budget(max_generations=3))
    assert result.ledger.num_generations == 3
    assert result.stop_reason is SearchStop.BUDGET
    assert result.best is not None


@pytest.mark.parametrize("selection", Selection)
async def test_each_selection_is_possible(selection: Selection) -> None:
    generator = ScriptedGenerator({"": [end(1), end(2), end(1)]})
    scores = {end(1): 0.5, end(2): 0.9}
    algorithm = AdaptiveBestOfN(max_samples=3, confidence=0.9, selection=selection)
    result = await run(algorithm, generator, ScriptedScorer(scores))
    assert best_text(result) == (end(2) if selection is Selection.argmax else end(1))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_samples", 0),
        ("confidence", 0.0),
        ("confidence", 1.0),
    ],
)
def test_impossible_settings_are_refused(name: str, value: float) -> None:
    settings: dict[str, Any] = {name: value}
    with pytest.raises(ConfigurationError, match=f"AdaptiveBestOfN: {name}"):
        AdaptiveBestOfN(**settings)


async def test_a_missing_scorer_is_named_with_a_remedy() -> None:
    with pytest.raises(ConfigurationError, match="AdaptiveBestOfN needs a PRM"):
        await run(AdaptiveBestOfN(), ScriptedGenerator({}), None)
