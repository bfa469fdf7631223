"""Particle Gibbs: particle filtering again and again, each time around a solution of the last.

Puri et al., arXiv 2502.01618; Andrieu, Doucet and Holenstein, "Particle Markov chain Monte Carlo
methods" (2010), section 2.4.3.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from prm_search.aggregation import Aggregation
from prm_search.budget import Budget
from prm_search.errors import ConfigurationError
from prm_search.protocols import Generator, Grader, Scorer
from prm_search.search.checks import require_positive, require_scorer
from prm_search.search.exploration import Exploration
from prm_search.search.particles import Particle, ParticleFilter, weights_of
from prm_search.search.weights import draw_independent
from prm_search.seeds import derive_seed
from prm_search.types import Problem, SearchResult
from prm_search.voting import Selection


@dataclass(frozen=True, kw_only=True, slots=True)
class ParticleGibbs:
    """Runs a particle filter several times; each run retains one solution of the run before.

    The retained solution is drawn by weight. It goes its way unchanged, and free particles may
    branch off from it at any depth. Particles are resampled independently at each depth, which
    leaves the target distribution as it is also beside a retained one. (As in the filter, a
    solution that has ended is weighed again at each depth until all have; with solutions of
    different lengths the target is that of the run's depth.) Every solution that ends is a
    candidate, once, whatever run it is from.
    """

    num_particles: int = 4
    """Particles of a run, the retained one included; at least 2."""
    num_iterations: int = 4
    """Runs, one after another; at least 2, for one alone is search=particle_filter."""
    max_steps: int = 40
    """How many steps deep to search at most."""
    aggregation: Aggregation = Aggregation.product
    """How step scores become the score of a prefix or candidate."""
    selection: Selection = Selection.weighted
    """How the best candidate is chosen. The paper takes argmax."""

    def __post_init__(self) -> None:
        require_positive("ParticleGibbs", max_steps=self.max_steps)
        if self.num_particles < 2:
            raise ConfigurationError(
                "ParticleGibbs: num_particles must be at least 2, one to retain and one that is "
                f"free, not {self.num_particles}"
            )
        if self.num_iterations < 2:
            raise ConfigurationError(
                f"ParticleGibbs: num_iterations must be at least 2, not {self.num_iterations}; "
                "for a single run take search=particle_filter"
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
            scorer=require_scorer(scorer, "ParticleGibbs"),
            budget=budget,
            seed=seed,
        )
        particle_filter = ParticleFilter(
            exploration=exploration,
            num_particles=self.num_particles,
            max_steps=self.max_steps,
            aggregation=self.aggregation,
            draw=draw_independent,
        )
        retained: Particle | None = None
        for iteration in range(self.num_iterations):
            seed_of_run = derive_seed(seed, problem.id, "iteration", iteration)
            particles = await particle_filter.run(seed_of_run, retained=retained)
            retained = retain(particles, random.Random(derive_seed(seed_of_run, "retain")))
        return await exploration.result(
            selection=self.selection, aggregation=self.aggregation, grader=grader
        )


def retain(particles: Sequence[Particle], rng: random.Random) -> Particle | None:
    """A solution drawn by weight, if any has ended and could be scored."""
    solutions = [each for each in particles if each.has_ended and each.leaf.scores]
    if not solutions:
        return None
    (index,) = draw_independent(weights_of(solutions), 1, rng)
    return Particle(lineage=solutions[index].lineage)
