from __future__ import annotations

import pytest

from prm_search.aggregation import Aggregation
from prm_search.budget import Budget, Role
from prm_search.errors import ConfigurationError
from prm_search.fakes import FakeGenerator, FakeGrader, FakeScorer
from prm_search.search import BestOfN
from prm_search.types import SearchResult, SearchStop
from prm_search.voting import Selection
from tests.search.scripted import (
    PROBLEM,
    ScriptedGenerator,
    ScriptedScorer,
    best_text,
    candidate_texts,
    chosen_texts,
    end,
    run,
)

SAMPLES = ["a;|" + end(1), "b;|" + end(2), "c;|" + end(3), "d;|" + end(1)]
SCORES = {"a;": 0.5, "b;": 0.9, "c;": 0.4, "d;": 0.6, end(1): 0.8, end(2): 0.9, end(3): 1.0}


@pytest.mark.parametrize(
    ("selection", "aggregation", "expected"),
    [
        (Selection.argmax, Aggregation.product, "b;" + end(2)),  # 0.81
        (Selection.argmax, Aggregation.last, "c;" + end(3)),  # 1.0
        (Selection.weighted, Aggregation.product, "d;" + end(1)),  # 0.40 + 0.48
        (Selection.weighted, Aggregation.min, "d;" + end(1)),  # 0.5 + 0.6
        (Selection.majority, Aggregation.product, "a;" + end(1)),
    ],
)
async def test_each_selection_by_hand(
    selection: Selection, aggregation: Aggregation, expected: str
) -> None:
    algorithm = BestOfN(num_samples=4, selection=selection, aggregation=aggregation)
    result = await run(algorithm, ScriptedGenerator({"": SAMPLES}), ScriptedScorer(SCORES))
    assert best_text(result) == expected
    assert "".join(chosen_texts(result)) == expected
    assert candidate_texts(result) == [sample.replace("|", "") for sample in SAMPLES]
    assert result.stop_reason is SearchStop.FINISHED
    assert result.ledger.num_generations == 4


async def test_each_sample_is_scored_by_one_call_of_its_own() -> None:
    scorer = ScriptedScorer(SCORES)
    await run(BestOfN(num_samples=4), ScriptedGenerator({"": SAMPLES}), scorer)
    assert sorted(scorer.calls) == sorted([[sample.replace("|", "")] for sample in SAMPLES])


async def test_a_sample_is_a_chain_of_nodes_with_a_score_each() -> None:
    result = await run(
        BestOfN(num_samples=2), ScriptedGenerator({"": SAMPLES}), ScriptedScorer(SCORES)
    )
    rows = [(node.parent, node.text, node.score) for node in result.tree.nodes]
    assert rows == [
        (None, "", None),
        (0, "a;", 0.5),
        (0, "b;", 0.9),
        (1, end(1), 0.8),
        (2, end(2), 0.9),
    ]


async def test_a_majority_vote_calls_no_scorer() -> None:
    scorer = ScriptedScorer(SCORES)
    algorithm = BestOfN(num_samples=4, selection=Selection.majority)
    with_scorer = await run(algorithm, ScriptedGenerator({"": SAMPLES}), scorer)
    without = await run(algorithm, ScriptedGenerator({"": SAMPLES}), None)
    assert scorer.calls == []
    assert with_scorer == without
    assert all(candidate.scores is None for candidate in without.candidates)
    assert Role.PRM not in without.ledger.usages


async def test_greedy_is_one_sample_at_temperature_zero() -> None:
    generator = ScriptedGenerator({"": SAMPLES})
    algorithm = BestOfN(num_samples=1, temperature=0.0, selection=Selection.majority)
    result = await run(algorithm, generator, None)
    assert generator.temperatures == [0.0]
    assert best_text(result) == "a;" + end(1)


async def test_the_temperature_of_the_policy_is_the_default() -> None:
    generator = ScriptedGenerator({"": SAMPLES})
    await run(BestOfN(num_samples=2), generator, ScriptedScorer(SCORES))
    assert generator.temperatures == [None, None]


async def _search(num_samples: int, per_round: int | None = None) -> SearchResult:
    return await BestOfN(num_samples=num_samples, num_samples_per_round=per_round)(
        PROBLEM,
        generator=FakeGenerator(),
        scorer=FakeScorer(),
        grader=FakeGrader(),
        budget=Budget(),
        seed=3,
    )


async def test_fewer_samples_are_the_first_of_more() -> None:
    few, many = await _search(4), await _search(16)
    assert many.candidates[:4] == few.candidates


async def test_rounds_change_nothing_without_a_budget() -> None:
    assert await _search(16, per_round=3) == await _search(16)


async def test_the_number_of_generations_is_kept_exactly() -> None:
    result = await run(
        BestOfN(num_samples=4),
        ScriptedGenerator({"": SAMPLES}),
        ScriptedScorer(SCORES),
        budget=Budget(max_generations=3),
    )
    assert result.ledger.num_generations == 3
    assert result.stop_reason is SearchStop.BUDGET
    assert best_text(result) == "b;" + end(2)


@pytest.mark.parametrize(
    ("budget", "num_samples"),
    [
        (Budget(max_generated_tokens=1), 1),
        (Budget(max_generated_tokens=22), 2),  # eleven tokens a sample
        (Budget(max_generated_tokens=23), 3),
        (Budget(max_scored_tokens=3), 3),
    ],
)
async def test_a_budget_is_looked_at_between_rounds(budget: Budget, num_samples: int) -> None:
    result = await run(
        BestOfN(num_samples=4, num_samples_per_round=1),
        ScriptedGenerator({"": SAMPLES}),
        ScriptedScorer(SCORES),
        budget=budget,
    )
    assert len(result.candidates) == num_samples
    assert result.stop_reason is SearchStop.BUDGET


@pytest.mark.parametrize("selection", [Selection.argmax, Selection.weighted])
async def test_a_missing_scorer_is_named_with_a_remedy(selection: Selection) -> None:
    with pytest.raises(ConfigurationError, match=f"BestOfN with selection={selection}.*majority"):
        await run(BestOfN(selection=selection), ScriptedGenerator({}), None)


@pytest.mark.parametrize(
    "fields",
    [
        {"num_samples": 0},
        {"num_samples_per_round": 0},
        {"num_samples_per_round": 17},
        {"temperature": -0.1},
        {"temperature": 0.0, "num_samples": 2},
    ],
)
def test_impossible_settings_are_refused(fields: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(fields))):
        BestOfN(**fields)  # pyright: ignore[reportArgumentType]
