"""Particles: prefixes that stand for a distribution over solutions, moved on step by step.

The target weighs what the policy writes by the odds that the PRM gives it, score / (1 - score),
at each depth; a solution that has ended keeps its odds. So weights are a softmax of logits, as
in the authors' code of arXiv 2502.01618.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from prm_search.aggregation import Aggregation, aggregate
from prm_search.concurrency import gather_all
from prm_search.search.exploration import Exploration
from prm_search.search.leaf import Leaf, Path
from prm_search.search.weights import effective_sample_size, log_odds, softmax
from prm_search.seeds import derive_seed

Draw: TypeAlias = Callable[[Sequence[float], int, random.Random], list[int]]
"""Draws indices by weight; see `prm_search.search.weights`."""

_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True, slots=True)
class Particle:
    """A prefix, and those that it grew from."""

    lineage: tuple[Leaf, ...]
    """From the root on; the last is where the particle is now."""
    log_weight: float = 0.0
    """Gathered since the particles were last resampled."""

    @property
    def leaf(self) -> Leaf:
        """Where it is now."""
        return self.lineage[-1]

    @property
    def has_ended(self) -> bool:
        """Whether its solution has ended."""
        return self.leaf.trajectory.is_finished

    def at(self, depth: int) -> Particle:
        """The particle as it was at a depth."""
        return replace(self, lineage=self.lineage[: depth + 1])


def weights_of(particles: Sequence[Particle]) -> list[float]:
    """The weights of particles, summing to 1; there has to be at least one."""
    return softmax([particle.log_weight for particle in particles])


@dataclass(kw_only=True, slots=True)
class ParticleFilter:
    """Moves particles from the root to the ends of their solutions."""

    exploration: Exploration
    num_particles: int
    """One that is retained included."""
    max_steps: int
    aggregation: Aggregation
    draw: Draw
    """Draws the particles that survive."""
    resample_below: float = 1.0
    """Resample if the effective sample size is at most this share of the particles."""
    _num_children: Counter[Path] = field(default_factory=Counter[Path])
    """Samples drawn so far from each prefix."""

    async def run(self, seed: int, *, retained: Particle | None = None) -> list[Particle]:
        """Move particles until all have ended, or until the budget or the depth is spent.

        Args:
            seed: for resampling.
            retained: a particle that goes its own way again, step by step, and from which others
                may branch off until it has ended, too. If there is one, it is the last of those
                returned.

        Returns:
            The particles; fewer if some could not be continued or scored.
        """
        num_free = self.num_particles - (retained is not None)
        free = [Particle(lineage=(self.exploration.root,))] * num_free
        particles = free
        for depth in range(1, self.max_steps + 1):
            # Where all have ended nothing is drawn any more: they are only weighed.
            if not all(each.has_ended for each in free) and not self.exploration.may_go_on():
                break
            moved = await self._move(free)
            fixed = [retained.at(depth)] if retained else []
            # Not before the last resampling: which particles survive must not end the run.
            is_last = depth == self.max_steps or all(each.has_ended for each in (*moved, *fixed))
            particles = self._weigh([*moved, *fixed])
            if is_last:
                break
            free = particles[: len(particles) - len(fixed)]
            if self._are_uneven(particles):
                rng = random.Random(derive_seed(seed, depth))
                free = self._resample(particles, num_free, rng)
            self.exploration.prune(
                [particle.leaf for particle in moved],
                keep=[particle.leaf for particle in (*free, *fixed)],
            )
        return particles

    async def _move(self, particles: Sequence[Particle]) -> list[Particle]:
        """Those that have ended, and one more step of the others."""
        moving: dict[Path, list[Particle]] = {}
        for particle in particles:
            if not particle.has_ended:
                moving.setdefault(particle.leaf.path, []).append(particle)
        branches = await gather_all(self._branch(*same) for same in moving.values())
        ended = [particle for particle in particles if particle.has_ended]
        return [*ended, *(particle for branch in branches for particle in branch)]

    async def _branch(self, first: Particle, *others: Particle) -> list[Particle]:
        """One more step for each of some particles at the same place."""
        num_samples = 1 + len(others)
        first_child = self._num_children[first.leaf.path]
        self._num_children[first.leaf.path] += num_samples
        leaves = await self.exploration.expand(
            first.leaf, num_samples=num_samples, first_child=first_child
        )
        return [replace(first, lineage=(*first.lineage, leaf)) for leaf in leaves]

    def _weigh(self, particles: Sequence[Particle]) -> list[Particle]:
        """The particles with their new weights.

        Those without scores are left out, unless there are no others; then all stay as they are.
        """
        weighed = [
            replace(
                particle,
                log_weight=particle.log_weight
                + log_odds(aggregate(particle.leaf.scores, self.aggregation)),
            )
            for particle in particles
            if particle.leaf.scores
        ]
        return weighed or list(particles)

    def _are_uneven(self, particles: Sequence[Particle]) -> bool:
        if not particles:
            return False
        size = effective_sample_size(weights_of(particles))
        return size <= self.resample_below * self.num_particles + _ROUNDING

    def _resample(
        self, particles: Sequence[Particle], count: int, rng: random.Random
    ) -> list[Particle]:
        indices = self.draw(weights_of(particles), count, rng)
        return [replace(particles[index], log_weight=0.0) for index in indices]
