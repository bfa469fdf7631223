from __future__ import annotations

from typing import Any

import pytest

from prm_search.aggregation import Aggregation
from prm_search.budget import UNLIMITED, Budget
from prm_search.errors import ConfigurationError
from prm_search.fakes import FakeGenerator, FakeGrader, FakeScorer
from prm_search.search import MCTS
from prm_search.search.visits import Formula
from prm_search.types import Problem, SearchStop
from prm_search.voting import Selection
from tests.search.scripted import (
    ScriptedGenerator,
    ScriptedScorer,
    best_text,
    candidate_texts,
    chosen_texts,
    end,
    kept_texts,
    run,
)

SCRIPT = {
    "": ["a;", "b;"],
    "a;": ["c;", "d;"],
    "b;": ["e;", end(4)],
    "a;c;": [end(1), end(2)],
    "a;d;": [end(3), end(5)],
    "b;e;": [end(6), end(7)],
}
SCORES = {
    **{"a;": 0.8, "b;": 0.7, "c;": 0.9, "d;": 0.6, "e;": 0.5},
    **{end(1): 0.2, end(2): 0.1, end(3): 0.3, end(4): 0.9, end(5): 0.2},
    **{end(6): 0.1, end(7): 0.1},
}


def mcts(num_simulations: int, max_concurrent: int = 1, **settings: Any) -> MCTS:
    return MCTS(
        num_simulations=num_simulations,
        num_expansions=2,
        max_concurrent=max_concurrent,
        aggregation=Aggregation.last,
        selection=Selection.argmax,
        **settings,
    )


async def expanded(algorithm: MCTS) -> list[str]:
    generator = ScriptedGenerator(SCRIPT)
    await run(algorithm, generator, ScriptedScorer(SCORES))
    assert {count for _, count, _ in generator.calls} == {2}
    return [text for text, *_ in generator.calls]


@pytest.mark.parametrize("formula", Formula)
async def test_mcts_by_hand(formula: Formula) -> None:
    # the first walk follows the scores: a, c, 1 with a value of .2, which leaves .5 for a
    assert await expanded(mcts(1, formula=formula)) == ["", "a;", "a;c;"]
    # the second goes to b, where the answer 4 ends it with .9
    assert await expanded(mcts(2, formula=formula)) == ["", "a;", "a;c;", "b;"]


async def test_a_large_constant_explores_and_none_exploits() -> None:
    # b, worth (.7 + .9) / 2, is next, and finds only .1 in e: it falls to .57, and a is at .5
    begin = ["", "a;", "a;c;", "b;", "b;e;"]
    assert await expanded(mcts(4, exploration_constant=0.0)) == begin
    assert await expanded(mcts(4, exploration_constant=9.0)) == [*begin, "a;d;"]


async def test_what_was_found_is_the_result() -> None:
    result = await run(mcts(2), ScriptedGenerator(SCRIPT), ScriptedScorer(SCORES))
    assert best_text(result) == "b;" + end(4)
    assert chosen_texts(result) == ["b;", end(4)]
    assert candidate_texts(result) == ["a;c;" + end(1), "a;c;" + end(2), "b;" + end(4)]
    assert len(kept_texts(result)) == len(result.tree.nodes) - 1


async def test_a_search_ends_when_there_is_nothing_new_to_visit() -> None:
    result = await run(mcts(50, 3), ScriptedGenerator(SCRIPT), ScriptedScorer(SCORES))
    assert result.ledger.num_generations == 2 * len(SCRIPT)
    assert len(result.candidates) == 7
    assert result.stop_reason is SearchStop.FINISHED


@pytest.mark.parametrize(("virtual_loss", "next_place"), [(0.0, "a;d;"), (2.0, "k;")])
async def test_virtual_loss_sends_a_walk_away_from_where_another_one_is(
    virtual_loss: float, next_place: str
) -> None:
    # One walk is on its long way below a when the other one ends below b. Then a is worth .8,
    # or .8 / 3 with two visits of value zero, and k is worth .5.
    script = {
        "": ["a;", "b;", "k;"],
        "a;": ["c;", "d;", "c;"],
        "b;": [end(1), end(2), end(3)],
        "k;": [end(1)] * 3,
        "a;d;": [end(1)] * 3,
        "a;c;": ["g;"] * 3,
        "a;c;g;": ["h;"] * 3,
        "a;c;g;h;": [end(1)] * 3,
    }
    scores = {"a;": 0.8, "b;": 0.6, "k;": 0.5, "c;": 0.8, "d;": 0.7, "g;": 0.8, "h;": 0.8}
    scores |= {end(1): 0.3, end(2): 0.2, end(3): 0.1}
    generator = ScriptedGenerator(script)
    algorithm = MCTS(
        num_simulations=3,
        num_expansions=3,
        max_concurrent=2,
        virtual_loss=virtual_loss,
        exploration_constant=0.0,
        aggregation=Aggregation.last,
    )
    await run(algorithm, generator, ScriptedScorer(scores))
    texts = [text for text, *_ in generator.calls]
    assert texts[:4] == ["", "a;", "b;", "a;c;"]
    assert texts[4] == next_place
    assert sorted(texts[5:]) == ["a;c;g;", "a;c;g;h;"]


async def test_samples_of_the_same_step_are_expanded_once() -> None:
    script = {"": ["a;", "a;", "b;"], "a;": [end(1), end(1), end(2)], "b;": [end(3)] * 3}
    scores = {"a;": 0.5, "b;": 0.4, end(1): 0.5, end(2): 0.4, end(3): 0.3}
    generator = ScriptedGenerator(script)
    result = await run(
        MCTS(num_simulations=9, num_expansions=3, max_concurrent=1),
        generator,
        ScriptedScorer(scores),
    )
    assert [text for text, *_ in generator.calls] == ["", "a;", "b;"]
    assert kept_texts(result) == ["a;", "b;", end(1), end(2), end(3)]
    assert len(result.candidates) == 6  # each has its vote


async def test_a_walk_that_cannot_be_continued_is_given_up() -> None:
    script = {"": ["a;", "b;"], "a;": ["too long"], "b;": [end(1), end(2)]}
    scores = {"a;": 0.9, "b;": 0.2, end(1): 0.5, end(2): 0.4}
    result = await run(mcts(2), ScriptedGenerator(script), ScriptedScorer(scores))
    assert best_text(result) == "b;" + end(1)
    assert result.stop_reason is SearchStop.FINISHED


async def test_a_step_without_a_score_is_visited_only_if_nothing_else_is_left() -> None:
    script = {"": ["a;", "b;"], "a;": [end(1), end(2)], "b;": [end(3), end(4)]}
    scores = {"b;": 0.01, end(3): 0.0, end(4): 0.0}
    generator = ScriptedGenerator(script)
    result = await run(mcts(3), generator, ScriptedScorer(scores))
    assert [text for text, *_ in generator.calls] == ["", "b;", "a;"]
    assert best_text(result) == "b;" + end(3)


async def test_each_walk_finds_a_solution() -> None:
    for num_simulations in (4, 8, 16):
        result = await MCTS(num_simulations=num_simulations)(
            Problem(id="p", prompt="?"),
            generator=FakeGenerator(num_steps=6),
            scorer=FakeScorer(),
            grader=FakeGrader(),
            budget=UNLIMITED,
            seed=0,
        )
        assert len(result.candidates) >= num_simulations
        assert result.best is not None


async def test_max_steps_bounds_the_depth() -> None:
    result = await run(mcts(9, max_steps=2), ScriptedGenerator(SCRIPT), ScriptedScorer(SCORES))
    assert max(map(result.tree.depth, result.tree.nodes)) == 2
    assert candidate_texts(result) == ["b;" + end(4)]


@pytest.mark.parametrize("max_concurrent", [1, 3])
async def test_a_budget_stops_walks_on_their_way(max_concurrent: int) -> None:
    for max_generations in range(1, 12):
        result = await run(
            mcts(6, max_concurrent),
            ScriptedGenerator(SCRIPT),
            ScriptedScorer(SCORES),
            budget=Budget(max_generations=max_generations),
        )
        assert max_generations <= result.ledger.num_generations <= max_generations + 1
        assert result.stop_reason is SearchStop.BUDGET
        assert result.best is not None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_simulations", 0),
        ("num_expansions", 0),
        ("max_concurrent", 0),
        ("max_steps", 0),
        ("exploration_constant", -0.1),
        ("exploration_constant", float("inf")),
        ("virtual_loss", -1.0),
        ("max_concurrent", 17),
    ],
)
def test_impossible_settings_are_refused(name: str, value: float) -> None:
    settings: dict[str, Any] = {name: value}
    with pytest.raises(ConfigurationError, match=f"MCTS: {name}"):
        MCTS(**settings)


async def test_a_missing_scorer_is_named_with_a_remedy() -> None:
    with pytest.raises(ConfigurationError, match="MCTS needs a PRM"):
        await run(MCTS(), ScriptedGenerator(SCRIPT), None)
