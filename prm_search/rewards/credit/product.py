"""The probability that all steps from one on are right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from prm_search.rewards.credit.rule import FloatArray, ReturnRule


@dataclass(frozen=True, kw_only=True, slots=True)
class Product(ReturnRule):
    """G_k = s_k · s_{k+1} · … · s_K (Lightman et al., arXiv 2305.20050, section 2.6).

    Every further step lowers it a little, so it prefers few steps.
    """

    def returns(self, scores: FloatArray) -> FloatArray:
        """The return from each step on; see `ReturnRule`."""
        return np.cumprod(scores[::-1], dtype=np.float64)[::-1]
