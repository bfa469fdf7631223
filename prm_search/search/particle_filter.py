"""Particle filtering: prefixes survive in proportion to what the PRM says of them.

Puri et al., "A probabilistic inference approach to inference-time scaling of LLMs using
particle-based Monte Carlo methods", arXiv 2502.01618, algorithm 1.
"""

from __future__ import annotations

from dataclasses import dataclass

from prm_search.aggregation import Aggregation
from prm_search.budget import Budget
from prm_search.protocols import Generator, Grader, Scorer
from prm_search.search.checks import require_number, require_positive, require_scorer
from prm_search.search.exploration import Exploration
from prm_search.search.particles import ParticleFilter
from prm_search.search.weights import draw_systematic
from prm_search.seeds import derive_seed
from prm_search.types import Problem, SearchResult
from prm_search.voting import Selection


@dataclass(frozen=True, kw_only=True, slots=True)
class ParticleFiltering:
    """Draws one step for each of N particles, weighs them by the PRM, and resamples N of them.

    A solution that ends stays among the particles and keeps its odds, so it may be resampled
    several times, at no cost. Resampling is systematic, where the paper draws independently: the
    same on average, with less noise. Every solution that ends is a candidate, once.
    """

    num_particles: int = 16
    """Samples drawn at each depth, less the solutions that have ended before."""
    resample_below: float = 1.0
    """Share of the particles, above 0 and at most 1: they are resampled when their effective
    sample size is not above it. 1 means at each depth, as in the paper."""
    max_steps: int = 40
    """How many steps deep to search at most."""
    aggregation: Aggregation = Aggregation.product
    """How step scores become the score of a prefix or candidate."""
    selection: Selection = Selection.weighted
    """How the best candidate is chosen. The paper takes argmax."""

    def __post_init__(self) -> None:
        require_positive(
            "ParticleFiltering", num_particles=self.num_particles, max_steps=self.max_steps
        )
        require_number(
            "ParticleFiltering",
            low=0,
            high=1,
            excludes=(0,),
            resample_below=self.resample_below,
        )

    async def __call__(
        self,
        problem: Problem,
        *,
        generator: Generator,
        scorer: Scorer | None,
        grader: Grader,
        budget: Budget,
        seed: int,
    ) -> SearchResult:
        """Search for a solution; see `prm_search.protocols.SearchAlgorithm`."""
        exploration = Exploration(
            problem,
            generator=generator,
            scorer=require_scorer(scorer, "ParticleFiltering"),
            budget=budget,
            seed=seed,
        )
        particles = ParticleFilter(
            exploration=exploration,
            num_particles=self.num_particles,
            max_steps=self.max_steps,
            aggregation=self.aggregation,
            draw=draw_systematic,
            resample_below=self.resample_below,
        )
        await particles.run(derive_seed(seed, problem.id, "resample"))
        return await exploration.result(
            selection=self.selection, aggregation=self.aggregation, grader=grader
        )
