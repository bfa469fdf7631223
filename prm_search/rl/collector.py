"""Rollouts of one update: each is rewarded as soon as it ends, while others are still written.

request ─► sample ─► reward ──────┐
request ─► sample ──────► reward ─┼─► rollouts, in the order of the requests
request ─► sample ─► reward ──────┘
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from prm_search.concurrency import gather_all
from prm_search.errors import EngineError
from prm_search.protocols import Until
from prm_search.rewards.reward import RewardSource
from prm_search.rl.clock import Clock, RolloutTimes
from prm_search.rl.rollouts import Rollout, TrainableGenerator
from prm_search.seeds import derive_seed
from prm_search.types import Generation, Problem, Trajectory, Usage

_MAX_DRAWS = 5
"""How often a sample is drawn before giving up, if engines come back with other weights."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """A rollout to obtain."""

    problem: Problem
    index: int
    """0-based place within the group of the problem; with the seed it gives the sample's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Collected:
    """Rollouts, what they cost and how long they took."""

    rollouts: tuple[Rollout, ...]
    """[num_requests]"""
    usage: Usage
    """Of the policy, samples that were drawn in vain included."""
    times: RolloutTimes
    share_from_search: float | None = None
    """Of the rollouts, those that a search has found; None if there is no search."""


class Collector(Protocol):
    """Obtains rollouts."""

    async def __call__(self, requests: Sequence[Request], *, seed: int) -> Collected:
        """Obtain rollouts, all of them drawn with the same weights.

        Args:
            requests: at least one, of one problem or several.
            seed: with a request it gives the seed of the sample.

        Raises:
            EngineError: if the policy's engine is gone, or cannot be given the weights.
        """
        ...


class VersionedGenerator:
    """A policy, every answer of which comes from the same weights until others are given.

    An engine that crashed comes back with the weights that it first started with. What it says
    then is thrown away, it is given the right ones, and asked again.
    """

    def __init__(self, generator: TrainableGenerator) -> None:
        self._generator = generator
        self._weights: tuple[str, int] | None = None
        self._usage = Usage()

    @property
    def version(self) -> int:
        """Of the weights that everything is drawn with."""
        return self._weights[1] if self._weights else 0

    async def update_weights(self, folder: str, version: int) -> None:
        """Draw with other weights from now on; see `TrainableGenerator`."""
        self._weights = (folder, version)
        await self._give_weights()

    async def restore(self) -> None:
        """Draw with the weights that the engine started with, whatever it has now."""
        self._weights = None
        await self._give_weights()

    async def _give_weights(self) -> None:
        if self._weights is None:
            await self._generator.restore_weights()
        else:
            await self._generator.update_weights(*self._weights)

    def take_usage(self) -> Usage:
        """What was spent since the last time, answers that were thrown away included."""
        usage, self._usage = self._usage, Usage()
        return usage

    async def generate(
        self,
        prefix: Trajectory,
        *,
        num_samples: int,
        until: Until,
        seed: int,
        temperature: float | None = None,
    ) -> Generation:
        """Continue a prefix; see `prm_search.protocols.Generator`."""
        for _ in range(_MAX_DRAWS):
            generation = await self._generator.generate(
                prefix, num_samples=num_samples, until=until, seed=seed, temperature=temperature
            )
            self._usage += generation.usage
            if generation.policy_version == self.version:
                return generation
            await self._give_weights()
        raise EngineError(
            f"the policy's engine answered {_MAX_DRAWS} times with other weights than those of "
            f"version {self.version}; does somebody else train with it?"
        )


class SampleCollector:
    """Draws whole solutions one by one."""

    def __init__(
        self,
        generator: VersionedGenerator,
        source: RewardSource,
        *,
        note: Callable[[Rollout], None] = lambda _: None,
    ) -> None:
        """Take an engine and a source.

        Args:
            generator: the policy.
            source: is asked for one rollout at a time; a `MicroBatcher` makes batches of them.
            note: called for each rollout as soon as it is rewarded.
        """
        self._generator = generator
        self._source = source
        self._note = note

    async def __call__(self, requests: Sequence[Request], *, seed: int) -> Collected:
        """Obtain rollouts; see `Collector`."""
        self._generator.take_usage()
        clock = Clock()

        async def collect(request: Request) -> Rollout:
            problem = request.problem
            generation = await self._generator.generate(
                Trajectory(problem=problem),
                num_samples=1,
                until=Until.END,
                seed=derive_seed(seed, problem.id, request.index),
            )
            # Not by extend: an empty completion is a rollout, too.
            trajectory = Trajectory(problem=problem, steps=generation.continuations[0])
            with clock.scoring():
                [reward] = await self._source.reward([trajectory])
            rollout = Rollout(
                trajectory=trajectory,
                reward=reward,
                policy_version=generation.policy_version,
                index=request.index,
            )
            self._note(rollout)
            return rollout

        rollouts = await gather_all(map(collect, requests))
        return Collected(rollouts=rollouts, usage=self._generator.take_usage(), times=clock.times())
