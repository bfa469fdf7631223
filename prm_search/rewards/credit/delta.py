"""Differences of adjacent steps, which add up to a single score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from prm_search.errors import ConfigurationError
from prm_search.rewards.credit.rule import FloatArray, ReturnRule


@dataclass(frozen=True, kw_only=True, slots=True)
class Delta(ReturnRule):
    """Rewards r_k - r_{k+1}, and r_K for the last step (Gao et al., arXiv 2410.15115, Delta).

    Their sum from k on telescopes: G_k = r_k. So a step is credited with its own score, and the
    number of steps that follow does not matter.
    """

    threshold: float | None = None
    """If set, Clip comes first: r = min(s - threshold, 0). In (0, 1]. None means r = s."""

    def __post_init__(self) -> None:
        if self.threshold is not None and not 0 < self.threshold <= 1:
            raise ConfigurationError(f"Delta: threshold must be in (0, 1], not {self.threshold}")

    def returns(self, scores: FloatArray) -> FloatArray:
        """The return from each step on; see `ReturnRule`."""
        if self.threshold is None:
            return scores.copy()
        return np.minimum(scores - self.threshold, 0)
