"""How long rollouts take, and how much of the scoring hides behind the sampling."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class RolloutTimes:
    """How long the rollouts of an update took, in seconds."""

    total: float
    """From the first request to the last reward."""
    sampling: float
    """From the first request to the end of the last sample."""
    scoring: float
    """In which at least one reward was under way."""

    @property
    def exposed_scoring(self) -> float:
        """Scoring that nothing was sampled beside: what rewards add to the time of an update."""
        return self.total - self.sampling

    @property
    def hidden_share(self) -> float | None:
        """Share of the scoring that ran beside sampling; None if nothing was scored."""
        return 1 - self.exposed_scoring / self.scoring if self.scoring > 0 else None


class Clock:
    """Measures from its making on."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._scored: list[tuple[float, float]] = []

    @contextmanager
    def scoring(self) -> Generator[None, None, None]:
        """While this lasts, a rollout that was sampled is being rewarded."""
        sampled = time.monotonic()
        yield
        self._scored.append((sampled, time.monotonic()))

    def times(self) -> RolloutTimes:
        """What was measured, once everything has been rewarded."""
        return RolloutTimes(
            total=max(end for _, end in self._scored) - self._began,
            sampling=max(sampled for sampled, _ in self._scored) - self._began,
            scoring=covered(self._scored),
        )


def covered(intervals: Sequence[tuple[float, float]]) -> float:
    """The length of a union of intervals [start, end]."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(intervals):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total
