from __future__ import annotations

from typing import Any

import pytest

from prm_search.aggregation import Aggregation
from prm_search.budget import UNLIMITED, Budget
from prm_search.errors import ConfigurationError
from prm_search.fakes import FakeGenerator, FakeGrader, FakeScorer
from prm_search.search import BeamSearch, LookaheadBeamSearch
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

# Two samples at each depth, one of which is kept. The first continuation of each prefix is its
# rollout: "x;" and "y;" are what greedy decoding writes.
SCRIPT = {
    "": ["a;", "b;"],
    "a;": ["x;"],
    "b;": ["y;", "c;", end(7)],
    "b;c;": ["z;", end(1), end(2)],
}
SCORES = {
    **{"a;": 0.9, "x;": 0.1, "b;": 0.5, "y;": 0.8},
    **{"c;": 0.6, "z;": 0.7, end(7): 0.3, end(1): 0.4, end(2): 0.9},
}
LOOKAHEAD = LookaheadBeamSearch(
    num_beams=2, num_expansions=2, selection=Selection.argmax, aggregation=Aggregation.last
)


async def test_lookahead_by_hand() -> None:
    generator, scorer = ScriptedGenerator(SCRIPT), ScriptedScorer(SCORES)
    result = await run(LOOKAHEAD, generator, scorer)
    calls = [(text, count) for text, count, _ in generator.calls]
    assert sorted(calls) == [
        ("", 2),
        ("a;", 1),
        ("b;", 1),
        ("b;", 2),
        ("b;c;", 1),
        ("b;c;", 2),
    ]
    # a has the better score, but b leads to a better one
    assert best_text(result) == "b;c;" + end(2)
    assert chosen_texts(result) == ["b;", "c;", end(2)]
    assert kept_texts(result) == ["b;", "c;", end(2)]  # rollouts have done their part
    assert candidate_texts(result) == [
        "b;c;" + end(1),
        "b;c;" + end(2),
        "b;" + end(7),
    ]
    assert result.stop_reason is SearchStop.FINISHED


async def test_rollouts_are_greedy_and_samples_are_not() -> None:
    generator = ScriptedGenerator(SCRIPT)
    await run(LOOKAHEAD, generator, ScriptedScorer(SCORES))
    for (_, count, _), temperature in zip(generator.calls, generator.temperatures, strict=True):
        assert temperature == (0.0 if count == 1 else None)
    assert len({seed for *_, seed in generator.calls}) == len(generator.calls)


async def test_each_rollout_takes_one_call_of_the_prm_at_its_end() -> None:
    scorer = ScriptedScorer(SCORES)
    result = await run(LOOKAHEAD, ScriptedGenerator(SCRIPT), scorer)
    assert sorted(text for call in scorer.calls for text in call) == [
        "a;x;",
        "b;" + end(7),
        "b;c;" + end(1),
        "b;c;" + end(2),
        "b;c;z;",
        "b;y;",
    ]
    # which tells the score of the step itself, too
    assert {node.text: node.score for node in result.tree.nodes if node.text} == SCORES


async def test_a_rollout_has_as_many_steps_as_told_and_stops_where_the_solution_ends() -> None:
    script = {"": ["a;", "b;"], "a;": ["x;"], "a;x;": ["y;"], "a;x;y;": ["z;"]}
    script |= {"b;": [end(1)]}
    scores = {"a;": 0.5, "x;": 0.5, "y;": 0.5, "z;": 0.5, "b;": 0.2, end(1): 0.3}
    generator = ScriptedGenerator(script)
    result = await run(
        LookaheadBeamSearch(num_beams=2, num_expansions=2, num_lookahead_steps=3, max_steps=1),
        generator,
        ScriptedScorer(scores),
    )
    assert sorted(text for text, *_ in generator.calls) == ["", "a;", "a;x;", "a;x;y;", "b;"]
    assert candidate_texts(result) == ["b;" + end(1)]  # the rollout has found a solution
    assert best_text(result) == "b;" + end(1)


async def test_the_best_rollout_stands_in_if_nothing_has_ended() -> None:
    result = await run(
        LookaheadBeamSearch(
            num_beams=2, num_expansions=2, max_steps=1, aggregation=Aggregation.last
        ),
        ScriptedGenerator(SCRIPT),
        ScriptedScorer(SCORES),
    )
    assert candidate_texts(result) == ["b;y;"]
    assert chosen_texts(result) == ["b;", "y;"]


async def test_a_rollout_that_outgrows_the_context_ends_there() -> None:
    script = {"": ["a;", "b;"], "a;": ["too long"], "b;": ["y;", end(1), end(2)]}
    scores = {"a;": 0.4, "b;": 0.5, "y;": 0.5, end(1): 0.5, end(2): 0.6}
    result = await run(LOOKAHEAD, ScriptedGenerator(script), ScriptedScorer(scores))
    assert best_text(result) == "b;" + end(2)
    assert [node.score for node in result.tree.nodes if node.text == "a;"] == [0.4]


async def test_a_rollout_that_cannot_be_scored_ranks_last() -> None:
    script = {"": ["a;", "b;"], "a;": ["x;"], "b;": ["y;", end(1), end(2)]}
    scores = {"a;": 0.9, "b;": 0.1, "y;": 0.1, end(1): 0.2, end(2): 0.3}
    result = await run(LOOKAHEAD, ScriptedGenerator(script), ScriptedScorer(scores))
    assert kept_texts(result) == ["b;", end(2)]
    (failed,) = [node for node in result.tree.nodes if node.failure]
    assert (failed.text, failed.score) == ("x;", None)


async def test_a_budget_stops_the_search_between_depths() -> None:
    result = await run(
        LOOKAHEAD,
        ScriptedGenerator(SCRIPT),
        ScriptedScorer(SCORES),
        budget=Budget(max_generations=5),
    )
    assert result.ledger.num_generations == 7
    assert result.stop_reason is SearchStop.BUDGET
    assert best_text(result) == "b;" + end(7)


async def test_looking_ahead_costs_a_call_for_each_step_and_sample() -> None:
    async def num_generations(algorithm: BeamSearch | LookaheadBeamSearch) -> int:
        result = await algorithm(
            Problem(id="p", prompt="?"),
            generator=FakeGenerator(num_steps=4),
            scorer=FakeScorer(),
            grader=FakeGrader(),
            budget=UNLIMITED,
            seed=0,
        )
        return result.ledger.num_generations

    assert await num_generations(BeamSearch(num_beams=4, num_expansions=2)) == 16
    for num_steps, num_rollout_steps in [(1, 12), (2, 12 + 8), (5, 12 + 8 + 4)]:
        algorithm = LookaheadBeamSearch(
            num_beams=4, num_expansions=2, num_lookahead_steps=num_steps
        )
        assert await num_generations(algorithm) == 16 + num_rollout_steps


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_beams": 0}, "num_beams"),
        ({"num_expansions": 0}, "num_expansions"),
        ({"num_lookahead_steps": 0}, "num_lookahead_steps"),
        ({"max_steps": 0}, "max_steps"),
        ({"num_beams": 6, "num_expansions": 4}, "multiple of num_expansions"),
    ],
)
def test_impossible_settings_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        LookaheadBeamSearch(**fields)


async def test_a_missing_scorer_is_named_with_a_remedy() -> None:
    with pytest.raises(ConfigurationError, match="LookaheadBeamSearch needs a PRM"):
        await run(LookaheadBeamSearch(), ScriptedGenerator(SCRIPT), None)
