from __future__ import annotations

import asyncio

import pytest

from prm_search.budget import Budget
from prm_search.errors import ConfigurationError
from prm_search.fakes import FakeGenerator, FakeGrader, FakeScorer
from prm_search.protocols import Until
from prm_search.search import DVTS
from prm_search.types import Generation, SearchStop, Trajectory
from prm_search.voting import Selection
from tests.search.scripted import (
    PROBLEM,
    ScriptedGenerator,
    ScriptedScorer,
    best_text,
    candidate_texts,
    end,
    kept_texts,
    run,
)

# Two subtrees of two: (a b) and (c d). Each keeps its own best, so d survives beside a
# although b is better than d.
SCRIPT = {
    "": ["a;", "b;", "c;", "d;"],
    "a;": [end(1), "e;"],
    "a;e;": [end(3), end(4)],
    "d;": [end(1), end(2)],
}
SCORES = {
    **{"a;": 0.9, "b;": 0.8, "c;": 0.1, "d;": 0.5},
    **{"e;": 0.7, end(1): 0.6, end(2): 0.9, end(3): 0.9, end(4): 0.2},
}


async def test_dvts_by_hand() -> None:
    generator = ScriptedGenerator(SCRIPT)
    algorithm = DVTS(num_subtrees=2, num_expansions=2, selection=Selection.argmax)
    result = await run(algorithm, generator, ScriptedScorer(SCORES))
    assert sorted((text, count) for text, count, _ in generator.calls) == [
        ("", 2),
        ("", 2),
        ("a;", 2),
        ("a;e;", 2),
        ("d;", 2),
    ]
    assert kept_texts(result) == ["a;", "d;", "e;", end(2), end(3)]
    assert candidate_texts(result) == [
        "a;" + end(1),  # .54
        "a;e;" + end(3),  # .567
        "a;e;" + end(4),
        "d;" + end(1),  # .3
        "d;" + end(2),  # .45
    ]
    assert best_text(result) == "a;e;" + end(3)
    assert result.ledger.num_generations == 10


async def test_a_vote_goes_across_subtrees() -> None:
    algorithm = DVTS(num_subtrees=2, num_expansions=2, selection=Selection.weighted)
    result = await run(algorithm, ScriptedGenerator(SCRIPT), ScriptedScorer(SCORES))
    assert best_text(result) == "a;" + end(1)  # .54 + .3


async def test_the_subtrees_have_seeds_of_their_own() -> None:
    generator = ScriptedGenerator(SCRIPT)
    await run(DVTS(num_subtrees=2, num_expansions=2), generator, ScriptedScorer(SCORES))
    assert len({seed for *_, seed in generator.calls}) == len(generator.calls)


class _OneSlowSubtree(FakeGenerator):
    """Answers the second request at the root only once the first subtree has ended."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.first_ended = asyncio.Event()
        self.at_root = 0

    async def generate(
        self,
        prefix: Trajectory,
        *,
        num_samples: int,
        until: Until,
        seed: int,
        temperature: float | None = None,
    ) -> Generation:
        if not prefix.steps:
            self.at_root += 1
            if self.at_root == 2:
                await self.first_ended.wait()
        if len(prefix.steps) == self.num_steps - 1:
            self.first_ended.set()
        return await super().generate(
            prefix, num_samples=num_samples, until=until, seed=seed, temperature=temperature
        )


async def test_no_subtree_waits_for_another() -> None:
    algorithm = DVTS(num_subtrees=2, num_expansions=2)
    async with asyncio.timeout(5):
        result = await algorithm(
            PROBLEM,
            generator=_OneSlowSubtree(),
            scorer=FakeScorer(),
            grader=FakeGrader(),
            budget=Budget(),
            seed=0,
        )
    assert len(result.candidates) == 4


async def test_subtrees_share_a_budget_equally() -> None:
    result = await run(
        DVTS(num_subtrees=2, num_expansions=2),
        ScriptedGenerator(SCRIPT),
        ScriptedScorer(SCORES),
        budget=Budget(max_generations=8),
    )
    # four each: the second subtree has ended with them, the first has not
    assert result.ledger.num_generations == 8
    assert result.stop_reason is SearchStop.BUDGET


async def test_a_missing_scorer_is_named_with_a_remedy() -> None:
    with pytest.raises(ConfigurationError, match="DVTS needs a PRM"):
        await run(DVTS(), ScriptedGenerator(SCRIPT), None)


@pytest.mark.parametrize("name", ["num_subtrees", "num_expansions", "max_steps"])
def test_impossible_settings_are_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        DVTS(**{name: 0})  # pyright: ignore[reportArgumentType]
