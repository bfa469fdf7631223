"""The onset of reward hacking: the PRM is ever more pleased while fewer answers are right.

Over the last updates a straight line is fitted to each of the two curves. The alarm goes off
when the PRM's line rises and the outcome's falls, both by more than the noise between
neighbouring updates explains and by enough to matter. Where both rise or both fall, something
else is going on. The noise is taken to be that of sampling, independent from one update to the
next; a policy that really drifts back and forth can set the alarm off, as it should.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from prm_search.errors import ConfigurationError
from prm_search.rewards.credit.rule import FloatArray

_SMALLEST_WINDOW = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Hacking:
    """What set the alarm off."""

    update: int
    """0-based update at which it went off."""
    onset: int
    """0-based update from which on the outcome fell: that of the best outcome within the window,
    as a running mean of three updates."""
    prm_rise: float
    """How much the PRM's line rises over the window."""
    outcome_fall: float
    """How much the outcome's line falls over the window."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HackAlarm:
    """Looks for the onset of reward hacking in the curves of a training."""

    window: int = 30
    """Updates looked back on; at least 10. A shorter window is faster and noisier. At the beginning
    of a training, all updates are looked at as soon as there are 10."""
    min_z: float = 3.0
    """How many standard errors both slopes have to be away from 0; above 0."""
    min_rise: float = 0.02
    """Least rise of the PRM score over the window; at least 0."""
    min_fall: float = 0.1
    """Least fall of the outcome over the window; at least 0."""

    def __post_init__(self) -> None:
        if self.window < _SMALLEST_WINDOW:
            raise ConfigurationError(
                f"HackAlarm: window must be at least {_SMALLEST_WINDOW}, not {self.window}"
            )
        if not self.min_z > 0:
            raise ConfigurationError(f"HackAlarm: min_z must be above 0, not {self.min_z}")
        for name in ("min_rise", "min_fall"):
            if not getattr(self, name) >= 0:
                raise ConfigurationError(
                    f"HackAlarm: {name} must be at least 0, not {getattr(self, name)}"
                )

    def check(self, prm: Sequence[float], outcome: Sequence[float]) -> Hacking | None:
        """Whether the alarm goes off at the last of these updates.

        Args:
            prm: [num_updates] mean PRM score of the rollouts, such as `prm_mean` of `measure`.
            outcome: [num_updates] mean outcome.

        Raises:
            ValueError: if the lengths differ.
        """
        if len(prm) != len(outcome):
            raise ValueError(f"{len(prm)} PRM scores for {len(outcome)} outcomes")
        if len(prm) < _SMALLEST_WINDOW:
            return None
        scores = np.array(prm[-self.window :], dtype=np.float64)
        outcomes = np.array(outcome[-self.window :], dtype=np.float64)
        rise, rise_z = _trend(scores)
        fall, fall_z = _trend(-outcomes)
        if min(rise_z, fall_z) < self.min_z or rise < self.min_rise or fall < self.min_fall:
            return None
        return Hacking(
            update=len(prm) - 1,
            onset=len(prm) - len(outcomes) + _peak(outcomes),
            prm_rise=rise,
            outcome_fall=fall,
        )

    def first(self, prm: Sequence[float], outcome: Sequence[float]) -> Hacking | None:
        """The first time that the alarm goes off in these curves; None if it never does."""
        ends = range(len(prm) + 1)
        checks = (self.check(prm[:end], outcome[:end]) for end in ends)
        return next((hacking for hacking in checks if hacking is not None), None)


def _trend(values: FloatArray) -> tuple[float, float]:
    """How much the least-squares line rises from end to end, and its slope in standard errors."""
    times = np.arange(len(values)) - (len(values) - 1) / 2
    spread = float(times @ times)
    slope = float(times @ values) / spread
    # Noise from the differences of neighbours (von Neumann 1941, Ann. Math. Stat. 12:367-395):
    # a curve that bends is then no noise, as it would be if distances from the line counted.
    changes = np.diff(values)
    error = math.sqrt(float(changes @ changes) / (2 * len(changes)) / spread)
    return slope * (len(values) - 1), slope / error if error > 0 else 0.0


def _peak(values: FloatArray) -> int:
    """Where a running mean of three is highest; the last such place."""
    padded = np.pad(values, 1, mode="edge")
    smooth = np.convolve(padded, np.full(3, 1 / 3), mode="valid")
    return len(values) - 1 - int(np.argmax(smooth[::-1]))
