"""The onset of reward hacking: the PRM is ever more pleased while fewer answers are right.

Over the last updates a straight line is fitted to each of the two curves. The alarm goes off
when the PRM's line rises, the outcome's falls, both by more than noise of the size seen around
the lines explains, and the fall is large enough to matter. Where the PRM rises together with
the outcome, or both fall, something else is going on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from prm_search.errors import ConfigurationError
from prm_search.rewards.credit.rule import FloatArray


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

    window: int = 20
    """Updates looked back on; at least 5. A shorter window is faster and noisier."""
    min_t: float = 3.0
    """How many standard errors both slopes have to be away from 0; above 0."""
    min_rise: float = 0.01
    """Least rise of the PRM score over the window; at least 0."""
    min_fall: float = 0.05
    """Least fall of the outcome over the window; at least 0."""

    def __post_init__(self) -> None:
        if self.window < 5:
            raise ConfigurationError(f"HackAlarm: window must be at least 5, not {self.window}")
        if not self.min_t > 0:
            raise ConfigurationError(f"HackAlarm: min_t must be above 0, not {self.min_t}")
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
        if len(prm) < self.window:
            return None
        scores = np.array(prm[-self.window :], dtype=np.float64)
        outcomes = np.array(outcome[-self.window :], dtype=np.float64)
        rise, rise_t = _trend(scores)
        fall, fall_t = _trend(-outcomes)
        if min(rise_t, fall_t) < self.min_t or rise < self.min_rise or fall < self.min_fall:
            return None
        return Hacking(
            update=len(prm) - 1,
            onset=len(prm) - self.window + _peak(outcomes),
            prm_rise=rise,
            outcome_fall=fall,
        )

    def first(self, prm: Sequence[float], outcome: Sequence[float]) -> Hacking | None:
        """The first time that the alarm goes off in these curves; None if it never does."""
        ends = range(self.window, len(prm) + 1)
        checks = (self.check(prm[:end], outcome[:end]) for end in ends)
        return next((hacking for hacking in checks if hacking is not None), None)


def _trend(values: FloatArray) -> tuple[float, float]:
    """How much the least-squares line rises from end to end, and its slope in standard errors."""
    times = np.arange(len(values)) - (len(values) - 1) / 2
    spread = float(times @ times)
    slope = float(times @ values) / spread
    residuals = values - values.mean() - slope * times
    error = math.sqrt(float(residuals @ residuals) / (len(values) - 2) / spread)
    steepness = slope / error if error > 0 else math.copysign(math.inf, slope) if slope else 0.0
    return slope * (len(values) - 1), steepness


def _peak(values: FloatArray) -> int:
    """Where a running mean of three is highest; the last such place."""
    padded = np.pad(values, 1, mode="edge")
    smooth = np.convolve(padded, np.full(3, 1 / 3), mode="valid")
    return len(values) - 1 - int(np.argmax(smooth[::-1]))
