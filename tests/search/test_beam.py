from __future__ import annotations

import pytest

from prm_search.aggregation import Aggregation
from prm_search.budget import Budget
from prm_search.errors import ConfigurationError
from prm_search.search import BeamSearch
from prm_search.types import SearchStop
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

# Four samples at each depth, of which two are kept.
SCRIPT = {
    "": ["a;", "b;", "c;", "d;"],
    "a;": ["e;", "f;"],
    "b;": ["g;", end(7)],
    "a;e;": [end(1), end(2)],
    "b;g;": [end(1), end(3)],
}
SCORES = {
    **{"a;": 0.9, "b;": 0.8, "c;": 0.3, "d;": 0.2},
    **{"e;": 0.9, "f;": 0.5, "g;": 0.9, end(7): 0.85},
    **{end(1): 0.5, end(2): 0.8, end(3): 0.6},
}
BEAM = BeamSearch(num_beams=4, num_expansions=2, selection=Selection.argmax)


async def test_beam_search_by_hand() -> None:
    generator, scorer = ScriptedGenerator(SCRIPT), ScriptedScorer(SCORES)
    result = await run(BEAM, generator, scorer)
    # depth 0: a .9, b .8; depth 1: ae .81, bg .72 (b7 .68, af .45); depth 2 keeps two of
    # ae1 .405, ae2 .648, bg1 .36, bg3 .432
    assert [(text, count) for text, count, _ in generator.calls] == [
        ("", 4),
        ("a;", 2),
        ("b;", 2),
        ("a;e;", 2),
        ("b;g;", 2),
    ]
    assert kept_texts(result) == ["a;", "b;", "e;", "g;", end(2), end(3)]
    # b7 was pruned, but it ended and is a candidate: .68 is the highest
    assert candidate_texts(result) == [
        "a;e;" + end(1),
        "a;e;" + end(2),
        "b;g;" + end(1),
        "b;g;" + end(3),
        "b;" + end(7),
    ]
    assert best_text(result) == "b;" + end(7)
    assert chosen_texts(result) == ["b;", end(7)]
    assert result.ledger.num_generations == 12
    assert result.stop_reason is SearchStop.FINISHED


async def test_one_score_call_for_each_expansion() -> None:
    scorer = ScriptedScorer(SCORES)
    await run(BEAM, ScriptedGenerator(SCRIPT), scorer)
    assert sorted(map(len, scorer.calls)) == [2, 2, 2, 2, 4]


@pytest.mark.parametrize(
    ("selection", "aggregation", "expected"),
    [
        # 7: .68, 2: .648, 3: .432, 1: .405 + .36 = .765
        (Selection.weighted, Aggregation.product, "a;e;" + end(1)),
        (Selection.majority, Aggregation.product, "a;e;" + end(1)),
        # b7 ties with bg at .8 and is pruned, being further right; then ties with ae2 at .8
        (Selection.argmax, Aggregation.min, "a;e;" + end(2)),
    ],
)
async def test_each_selection_by_hand(
    selection: Selection, aggregation: Aggregation, expected: str
) -> None:
    algorithm = BeamSearch(
        num_beams=4, num_expansions=2, selection=selection, aggregation=aggregation
    )
    result = await run(algorithm, ScriptedGenerator(SCRIPT), ScriptedScorer(SCORES))
    assert best_text(result) == expected


async def test_a_kept_beam_that_has_ended_gives_up_its_place() -> None:
    script = {"": ["a;", end(1), "c;", "d;"], "a;": ["e;", "f;"], "a;f;": [end(2), end(3)]}
    scores = {"a;": 0.9, "c;": 0.5, "d;": 0.4, "e;": 0.1, "f;": 0.2}
    scores |= {end(1): 0.8, end(2): 0.3, end(3): 0.2}
    generator = ScriptedGenerator(script)
    result = await run(BEAM, generator, ScriptedScorer(scores))
    assert [(text, count) for text, count, _ in generator.calls] == [
        ("", 4),
        ("a;", 2),
        ("a;f;", 2),
    ]
    assert kept_texts(result) == ["a;", end(1), "f;", end(2)]
    assert best_text(result) == end(1)


async def test_max_steps_bounds_the_depth() -> None:
    result = await run(
        BeamSearch(num_beams=4, num_expansions=2, max_steps=2, selection=Selection.argmax),
        ScriptedGenerator(SCRIPT),
        ScriptedScorer(SCORES),
    )
    assert max(map(result.tree.depth, result.tree.nodes)) == 2
    assert candidate_texts(result) == ["b;" + end(7)]  # the only one that has ended
    assert result.stop_reason is SearchStop.FINISHED


async def test_the_best_prefix_stands_in_if_nothing_has_ended() -> None:
    result = await run(
        BeamSearch(num_beams=4, num_expansions=2, max_steps=1),
        ScriptedGenerator(SCRIPT),
        ScriptedScorer(SCORES),
    )
    assert candidate_texts(result) == ["a;"]
    assert best_text(result) == "a;"
    assert chosen_texts(result) == ["a;"]


@pytest.mark.parametrize(
    ("budget", "num_generations"),
    [
        (Budget(max_generations=1), 4),
        (Budget(max_generations=4), 4),
        (Budget(max_generations=5), 8),
        (Budget(max_generated_tokens=8), 4),
        (Budget(max_generated_tokens=9), 8),
        (Budget(max_scored_tokens=8), 8),
    ],
)
async def test_a_budget_stops_the_search_between_depths(
    budget: Budget, num_generations: int
) -> None:
    result = await run(BEAM, ScriptedGenerator(SCRIPT), ScriptedScorer(SCORES), budget=budget)
    assert result.ledger.num_generations == num_generations
    assert result.stop_reason is SearchStop.BUDGET
    assert best_text(result) == ("a;" if num_generations == 4 else "b;" + end(7))


async def test_a_budget_spent_by_the_last_depth_is_not_the_reason_to_stop() -> None:
    result = await run(
        BEAM,
        ScriptedGenerator(SCRIPT),
        ScriptedScorer(SCORES),
        budget=Budget(max_generations=12),
    )
    assert result.stop_reason is SearchStop.FINISHED


async def test_a_step_cut_off_ends_its_beam_and_is_marked() -> None:
    script = {"": ["a..", "b;"], "b;": [end(1), "c.."]}
    scores = {"a..": 0.9, "b;": 0.8, end(1): 0.1, "c..": 0.9}
    algorithm = BeamSearch(num_beams=2, num_expansions=1, selection=Selection.argmax)
    generator = ScriptedGenerator(script)
    result = await run(algorithm, generator, ScriptedScorer(scores))
    assert [text for text, *_ in generator.calls] == ["", "b;"]
    assert [node.stop_reason for node in result.tree.nodes[1:]] == ["length", "step", "end"]
    # it has no answer, so it wins against nothing that has one
    assert best_text(result) == "b;" + end(1)


async def test_a_missing_scorer_is_named_with_a_remedy() -> None:
    with pytest.raises(ConfigurationError, match="BeamSearch needs a PRM"):
        await run(BEAM, ScriptedGenerator(SCRIPT), None)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_beams": 0}, "num_beams"),
        ({"num_expansions": 0}, "num_expansions"),
        ({"max_steps": 0}, "max_steps"),
        ({"num_beams": 6, "num_expansions": 4}, r"num_beams \(6\).*num_expansions \(4\)"),
    ],
)
def test_impossible_settings_are_refused(fields: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        BeamSearch(**fields)  # pyright: ignore[reportArgumentType]
