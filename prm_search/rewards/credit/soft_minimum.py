"""PURE's own approximation of the minimum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from prm_search.errors import ConfigurationError
from prm_search.rewards.credit.rule import FloatArray, ReturnRule, suffix_sums


@dataclass(frozen=True, kw_only=True, slots=True)
class SoftMinimum(ReturnRule):
    """G_k = Σ_{j≥k} w_j r_j with r = 2s - 1 and w = softmax(-r / temperature).

    PURE (Cheng et al., arXiv 2504.15275) and its code. The weights span the whole rollout, so
    steps after the worst one return nearly 0. The return of n steps is at most
    min(r) + temperature · log n: filler can raise it by that much, which `Minimum` rules out.
    The baseline is that of `ReturnRule`; the one of PURE's code depends on padding.
    """

    temperature: float = 0.1
    """Above 0; the lower, the closer to the minimum."""

    def __post_init__(self) -> None:
        if not 0 < self.temperature < float("inf"):
            raise ConfigurationError(
                f"SoftMinimum: temperature must be above 0 and finite, not {self.temperature}"
            )

    def returns(self, scores: FloatArray) -> FloatArray:
        """The return from each step on; see `ReturnRule`."""
        rewards = 2 * scores - 1
        weights = np.exp((rewards.min() - rewards) / self.temperature)
        return suffix_sums(weights / weights.sum() * rewards)
