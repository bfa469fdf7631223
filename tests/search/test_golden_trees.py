"""The trees of all searches on the fake engines, compared with stored ones.

To write them anew after an intended change, and then look at the difference:

    PRM_SEARCH_UPDATE_GOLDEN=1 pytest tests/search/test_golden_trees.py
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from prm_search.budget import UNLIMITED, Budget
from prm_search.fakes import FakeGenerator, FakeGrader, FakeScorer
from prm_search.protocols import SearchAlgorithm
from prm_search.search import (
    DVTS,
    MCTS,
    AdaptiveBestOfN,
    AdaptiveConsistency,
    BeamSearch,
    BestOfN,
    LookaheadBeamSearch,
    ParticleFiltering,
    ParticleGibbs,
    Rebase,
    StepGreedy,
)
from prm_search.search.visits import Formula
from prm_search.types import Problem, SearchResult
from prm_search.voting import Selection

GOLDEN = Path(__file__).parents[1] / "golden"
PROBLEM = Problem(id="golden", prompt="What is six plus six?", answer="12")
SEED = 1
CASES: dict[str, tuple[SearchAlgorithm, Budget]] = {
    "greedy": (
        BestOfN(num_samples=1, temperature=0.0, selection=Selection.majority),
        UNLIMITED,
    ),
    "majority": (BestOfN(num_samples=8, selection=Selection.majority), UNLIMITED),
    "best_of_n": (BestOfN(num_samples=8, selection=Selection.argmax), UNLIMITED),
    "weighted_best_of_n": (BestOfN(num_samples=8), UNLIMITED),
    "beam": (BeamSearch(num_beams=8, num_expansions=2), UNLIMITED),
    "beam_within_budget": (
        BeamSearch(num_beams=8, num_expansions=2),
        Budget(max_generations=16),
    ),
    "dvts": (DVTS(num_subtrees=3, num_expansions=3), UNLIMITED),
    "step_greedy": (StepGreedy(num_expansions=4), UNLIMITED),
    "rebase": (Rebase(num_samples=8), UNLIMITED),
    "particle_filter": (ParticleFiltering(num_particles=8), UNLIMITED),
    "particle_gibbs": (ParticleGibbs(num_particles=4, num_iterations=3), UNLIMITED),
    "mcts": (MCTS(num_simulations=6, num_expansions=3, max_concurrent=3), UNLIMITED),
    "mcts_uct_within_budget": (
        MCTS(num_simulations=6, num_expansions=3, formula=Formula.uct),
        Budget(max_generations=24),
    ),
    "lookahead_beam": (
        LookaheadBeamSearch(num_beams=4, num_expansions=2, num_lookahead_steps=2),
        UNLIMITED,
    ),
    "adaptive_consistency": (
        AdaptiveConsistency(max_samples=8, confidence=0.9),
        UNLIMITED,
    ),
    "adaptive_best_of_n": (
        AdaptiveBestOfN(max_samples=8, confidence=0.9),
        UNLIMITED,
    ),
}


async def search(
    algorithm: SearchAlgorithm, budget: Budget, *, latency: float = 0.0, latency_seed: int = 0
) -> SearchResult:
    return await algorithm(
        PROBLEM,
        generator=FakeGenerator(
            num_extra_steps=2,
            truncation_rate=0.04,
            empty_rate=0.08,
            max_model_len=24,
            latency=latency,
            latency_seed=latency_seed,
        ),
        scorer=FakeScorer(
            failure_rate=0.08,
            reuses_prefixes=True,
            latency=latency,
            latency_seed=latency_seed,
        ),
        grader=FakeGrader(),
        budget=budget,
        seed=SEED,
    )


def as_json(result: SearchResult) -> dict[str, Any]:
    return {
        "best": result.best and result.best.trajectory.text,
        "num_candidates": len(result.candidates),
        "stop_reason": result.stop_reason,
        "num_generations": result.ledger.num_generations,
        "usages": {role: asdict(usage) for role, usage in result.ledger.usages.items()},
        "tree": result.tree.to_json(),
    }


@pytest.mark.parametrize("name", CASES)
async def test_the_tree_is_the_stored_one(name: str) -> None:
    found = as_json(await search(*CASES[name]))
    path = GOLDEN / f"{name}.json"
    if os.environ.get("PRM_SEARCH_UPDATE_GOLDEN") == "1":
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(found, indent=1) + "\n")
    assert found == json.loads(path.read_text())


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("latency_seed", range(3))
async def test_the_result_does_not_depend_on_what_finishes_first(
    name: str, latency_seed: int
) -> None:
    undisturbed = await search(*CASES[name])
    delayed = await search(*CASES[name], latency=0.01, latency_seed=latency_seed)
    assert delayed == undisturbed
