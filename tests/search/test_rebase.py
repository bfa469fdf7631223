from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prm_search.aggregation import Aggregation
from prm_search.budget import Budget
from prm_search.errors import ConfigurationError
from prm_search.search import Rebase
from prm_search.search.rebase import allocate
from prm_search.search.weights import softmax
from prm_search.types import SearchStop
from prm_search.voting import Selection
from tests.search.scripted import (
    ScriptedGenerator,
    ScriptedScorer,
    best_text,
    candidate_texts,
    end,
    kept_texts,
    run,
)

# Six samples at each depth; at temperature 0.1 a lead of 0.1 is worth e times the share.
SCRIPT = {
    "": ["a;", "b;", "c;", "d;", end(5), "f;"],
    "a;": [end(1), "g;"],
    "b;": [end(2), "h;"],
    "c;": ["i;"],
    "a;g;": [end(1), end(4)],
    "b;h;": [end(3)],
}
SCORES = {
    **{"a;": 0.9, "b;": 0.88, "c;": 0.8, "d;": 0.3, "f;": 0.2, end(5): 0.1},
    **{end(1): 0.9, "g;": 0.9, end(2): 0.5, "h;": 0.9, "i;": 0.1, end(3): 0.9, end(4): 0.2},
}
REBASE = Rebase(num_samples=6, aggregation=Aggregation.last, selection=Selection.argmax)


async def test_rebase_by_hand() -> None:
    generator = ScriptedGenerator(SCRIPT)
    await run(REBASE, generator, ScriptedScorer(SCORES))
    assert [(text, count) for text, count, _ in generator.calls] == [
        ("", 6),
        # five are left; softmax of a .9, b .88, c .8, d .3, f .2 is .455 .373 .168 .001 .000,
        # so the shares of 5 are 2.28, 1.86, .84, …: 2, 1 and 0, then one more for b and c
        ("a;", 2),
        ("b;", 2),
        ("c;", 1),
        # 1 and 2 have ended, three are left: shares of 1.5 for g and h
        ("a;g;", 2),
        ("b;h;", 1),
    ]


async def test_what_gets_no_samples_is_pruned_and_what_has_ended_is_kept() -> None:
    result = await run(REBASE, ScriptedGenerator(SCRIPT), ScriptedScorer(SCORES))
    assert kept_texts(result) == [
        *("a;", "b;", "c;", end(5)),
        *(end(1), "g;", end(2), "h;"),
        *(end(1), end(4), end(3)),
    ]
    assert len(candidate_texts(result)) == 6
    assert best_text(result) == "a;" + end(1)
    assert result.ledger.num_generations == 6 + 5 + 3
    assert result.stop_reason is SearchStop.FINISHED


@pytest.mark.parametrize(("temperature", "expected"), [(0.001, [6]), (1000.0, [2, 2, 1, 1])])
async def test_the_temperature_goes_from_greedy_to_even(
    temperature: float, expected: list[int]
) -> None:
    script = {"": ["a;", "b;", "c;", "d;", " ", " "]}
    generator = ScriptedGenerator(script | dict.fromkeys(["a;", "b;", "c;", "d;"], [end(1)] * 6))
    scores = {"a;": 0.9, "b;": 0.8, "c;": 0.7, "d;": 0.6, end(1): 0.5}
    await run(Rebase(num_samples=6, temperature=temperature), generator, ScriptedScorer(scores))
    assert [count for _, count, _ in generator.calls[1:]] == expected


async def test_a_prefix_without_a_score_gets_samples_only_if_none_has_one() -> None:
    script = {"": ["a;", "b;"], "a;": [end(1)], "b;": [end(2), end(3)]}
    generator = ScriptedGenerator(script)
    scores = {"b;": 0.01, end(2): 0.5, end(3): 0.5}
    await run(Rebase(num_samples=2), generator, ScriptedScorer(scores))
    assert [(text, count) for text, count, _ in generator.calls] == [("", 2), ("b;", 2)]
    generator = ScriptedGenerator({**script, "b;": [end(2)]})
    await run(Rebase(num_samples=2), generator, ScriptedScorer({}))
    assert [(text, count) for text, count, _ in generator.calls] == [("", 2), ("a;", 1), ("b;", 1)]


async def test_a_budget_stops_the_search_between_depths() -> None:
    result = await run(
        REBASE,
        ScriptedGenerator(SCRIPT),
        ScriptedScorer(SCORES),
        budget=Budget(max_generations=7),
    )
    assert result.ledger.num_generations == 11
    assert result.stop_reason is SearchStop.BUDGET
    assert best_text(result) == "a;" + end(1)


@given(
    st.integers(0, 100),
    st.lists(st.floats(0, 1), min_size=1, max_size=30),
    st.sampled_from([0.01, 0.1, 1.0, 100.0]),
)
def test_an_allocation_sums_to_the_width_and_follows_the_softmax(
    num_samples: int, scores: list[float], temperature: float
) -> None:
    shares = softmax([score / temperature for score in scores])
    counts = allocate(num_samples, shares)
    assert sum(counts) == num_samples
    for count, share in zip(counts, shares, strict=True):
        assert count >= 0
        assert abs(count - num_samples * share) < 1 + 1e-9
    ranked = sorted(zip(scores, counts, strict=True))
    assert all(low[1] <= high[1] for low, high in pairwise(ranked) if low[0] < high[0] - 1e-6)


def test_allocations_by_hand() -> None:
    assert allocate(4, [0.5, 0.3, 0.2]) == [2, 1, 1]
    assert allocate(3, [0.5, 0.5]) == [2, 1]
    assert allocate(0, [1.0]) == [0]


@pytest.mark.parametrize(
    ("name", "value"),
    [("num_samples", 0), ("max_steps", 0), ("temperature", 0.0), ("temperature", float("nan"))],
)
def test_impossible_settings_are_refused(name: str, value: float) -> None:
    settings: dict[str, Any] = {name: value}
    with pytest.raises(ConfigurationError, match=f"Rebase: {name}"):
        Rebase(**settings)


async def test_a_missing_scorer_is_named_with_a_remedy() -> None:
    with pytest.raises(ConfigurationError, match="Rebase needs a PRM"):
        await run(Rebase(), ScriptedGenerator(SCRIPT), None)
