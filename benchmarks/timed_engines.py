"""Fake engines that take as long as real ones and compute next to nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from prm_search.fakes import FakeGenerator, FakeScorer
from prm_search.protocols import Until
from prm_search.types import Generation, Scoring, Trajectory


@dataclass(kw_only=True)
class Slots:
    """Places in an engine. A call waits for one and keeps it for a fixed time."""

    num_slots: int
    call_seconds: float
    num_calls: int = 0
    _free: asyncio.Semaphore = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._free = asyncio.Semaphore(self.num_slots)

    @asynccontextmanager
    async def taken(self) -> AsyncGenerator[None, None]:
        """Work for as long as a call takes."""
        async with self._free:
            self.num_calls += 1
            await asyncio.sleep(self.call_seconds)
            yield


class TimedGenerator:
    """A fake policy behind slots."""

    def __init__(self, *, num_slots: int, call_seconds: float, num_steps: int) -> None:
        self._slots = Slots(num_slots=num_slots, call_seconds=call_seconds)
        self._policy = FakeGenerator(num_steps=num_steps)

    async def start(self) -> None:
        """Nothing."""

    async def reset_cache(self) -> None:
        """Nothing."""

    async def close(self) -> None:
        """Nothing."""

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
        async with self._slots.taken():
            return await self._policy.generate(
                prefix, num_samples=num_samples, until=until, seed=seed, temperature=temperature
            )


class TimedScorer:
    """A fake PRM behind slots."""

    def __init__(self, *, num_slots: int, call_seconds: float) -> None:
        self._slots = Slots(num_slots=num_slots, call_seconds=call_seconds)
        self._prm = FakeScorer()

    async def start(self) -> None:
        """Nothing."""

    async def reset_cache(self) -> None:
        """Nothing."""

    async def close(self) -> None:
        """Nothing."""

    async def score(self, trajectories: Sequence[Trajectory]) -> Scoring:
        """Score every step; see `prm_search.protocols.Scorer`."""
        async with self._slots.taken():
            return await self._prm.score(trajectories)


def busy_share(num_calls: int, *, call_seconds: float, num_slots: int, seconds: float) -> float:
    """Share of its slots that an engine used in some wall time; 1 is all that it can do.

    A call counts for the time that it has to take, not for what it waited longer.
    """
    return num_calls * call_seconds / (num_slots * seconds)
