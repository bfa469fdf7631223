from __future__ import annotations

import pytest

from prm_search.budget import Budget
from prm_search.errors import ConfigurationError
from prm_search.search import StepGreedy
from prm_search.types import SearchStop
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
    "": ["a;", "b;", end(5)],
    "b;": ["c;", end(6), "d;"],
    "b;c;": ["e..", end(1), end(2)],
}
SCORES = {
    **{"a;": 0.5, "b;": 0.6, end(5): 0.55},
    **{"c;": 0.9, end(6): 0.8, "d;": 0.1},
    **{"e..": 0.1, end(1): 0.2, end(2): 0.3},
}


async def test_step_greedy_by_hand() -> None:
    generator = ScriptedGenerator(SCRIPT)
    result = await run(StepGreedy(num_expansions=3), generator, ScriptedScorer(SCORES))
    assert [(text, count) for text, count, _ in generator.calls] == [
        ("", 3),
        ("b;", 3),
        ("b;c;", 3),
    ]
    assert kept_texts(result) == ["b;", "c;", end(2)]
    # 6 has a higher score, but greedy search passed it by
    assert best_text(result) == "b;c;" + end(2)
    assert chosen_texts(result) == ["b;", "c;", end(2)]
    assert candidate_texts(result) == [
        "b;c;e..",
        "b;c;" + end(1),
        "b;c;" + end(2),
        "b;" + end(6),
        end(5),
    ]


async def test_only_the_score_of_the_new_step_counts() -> None:
    script = {"": ["a;", "b;"], "a;": [end(1), end(2)], "b;": []}
    scores = {"a;": 0.2, "b;": 0.1, end(1): 0.3, end(2): 0.9}
    result = await run(
        StepGreedy(num_expansions=2), ScriptedGenerator(script), ScriptedScorer(scores)
    )
    assert best_text(result) == "a;" + end(2)


async def test_a_solution_passed_by_is_chosen_if_the_budget_ends_the_search() -> None:
    result = await run(
        StepGreedy(num_expansions=3),
        ScriptedGenerator(SCRIPT),
        ScriptedScorer(SCORES),
        budget=Budget(max_generations=6),
    )
    assert result.stop_reason is SearchStop.BUDGET
    assert candidate_texts(result) == ["b;" + end(6), end(5)]
    assert best_text(result) == "b;" + end(6)


async def test_a_missing_scorer_is_named_with_a_remedy() -> None:
    with pytest.raises(ConfigurationError, match="StepGreedy needs a PRM"):
        await run(StepGreedy(), ScriptedGenerator(SCRIPT), None)


@pytest.mark.parametrize("name", ["num_expansions", "max_steps"])
def test_impossible_settings_are_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        StepGreedy(**{name: 0})
