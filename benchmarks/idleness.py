"""How long engines had nothing to do."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from prm_search.protocols import Generator as Policy
from prm_search.protocols import Scorer, Until
from prm_search.types import Generation, Scoring, Trajectory


@dataclass(kw_only=True, eq=False)
class BusyClock:
    """Adds up the time in which there is at least one request."""

    clock: Callable[[], float] = time.perf_counter
    seconds: float = 0.0
    """In which there was a request, as far as they have ended."""
    _num_requests: int = 0
    _since: float = 0.0

    @contextmanager
    def request(self) -> Generator[None, None, None]:
        """A request goes on."""
        if self._num_requests == 0:
            self._since = self.clock()
        self._num_requests += 1
        try:
            yield
        finally:
            self._num_requests -= 1
            if self._num_requests == 0:
                self.seconds += self.clock() - self._since

    def idle_share(self, seconds: float) -> float:
        """Share of some wall time in which there was no request."""
        return 1 - self.seconds / seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class WatchedGenerator:
    """A policy with a clock."""

    generator: Policy
    clock: BusyClock = field(default_factory=BusyClock)

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
        with self.clock.request():
            return await self.generator.generate(
                prefix, num_samples=num_samples, until=until, seed=seed, temperature=temperature
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class WatchedScorer:
    """A PRM with a clock."""

    scorer: Scorer
    clock: BusyClock = field(default_factory=BusyClock)

    async def score(self, trajectories: Sequence[Trajectory]) -> Scoring:
        """Score every step; see `prm_search.protocols.Scorer`."""
        with self.clock.request():
            return await self.scorer.score(trajectories)
