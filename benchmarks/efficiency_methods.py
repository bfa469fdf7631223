"""Every search algorithm with the same number of samples."""

from __future__ import annotations

from collections.abc import Mapping

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
from prm_search.voting import Selection

NUM_EXPANSIONS = 4
"""Samples drawn from each prefix, where a search has such a setting."""

MAJORITY = "majority"
"""The votes that all others are compared with."""

POOL_SIZE = 2
"""Samples to draw majority votes from, per sample of a search, so that each vote can have as many
tokens as the search."""


def methods(num_samples: int) -> Mapping[str, SearchAlgorithm]:
    """All of them by name, majority vote first.

    Args:
        num_samples: N, a multiple of 8: solutions, beams, particles or walks.
    """
    return {
        MAJORITY: BestOfN(num_samples=POOL_SIZE * num_samples, selection=Selection.majority),
        "beam": BeamSearch(num_beams=num_samples, num_expansions=NUM_EXPANSIONS),
        "weighted_best_of_n": BestOfN(num_samples=num_samples, selection=Selection.weighted),
        "best_of_n": BestOfN(num_samples=num_samples, selection=Selection.argmax),
        "adaptive_consistency": AdaptiveConsistency(max_samples=num_samples),
        "adaptive_best_of_n": AdaptiveBestOfN(max_samples=num_samples),
        "lookahead_beam": LookaheadBeamSearch(num_beams=num_samples, num_expansions=NUM_EXPANSIONS),
        "dvts": DVTS(num_subtrees=num_samples // NUM_EXPANSIONS, num_expansions=NUM_EXPANSIONS),
        "step_greedy": StepGreedy(num_expansions=num_samples),
        "rebase": Rebase(num_samples=num_samples),
        "particle_filter": ParticleFiltering(num_particles=num_samples),
        "particle_gibbs": ParticleGibbs(
            num_particles=num_samples // NUM_EXPANSIONS, num_iterations=NUM_EXPANSIONS
        ),
        "mcts": MCTS(
            num_simulations=num_samples,
            num_expansions=NUM_EXPANSIONS,
            # As many prefixes at the same time as beam search has.
            max_concurrent=num_samples // NUM_EXPANSIONS,
        ),
    }


def with_majority(names: list[str]) -> list[str]:
    """Names of methods, majority vote first, whether or not it is among them."""
    return [MAJORITY, *(name for name in names if name != MAJORITY)]
