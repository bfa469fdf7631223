"""The worst step from one on: the default."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from prm_search.rewards.credit.rule import FloatArray, ReturnRule


@dataclass(frozen=True, kw_only=True, slots=True)
class Minimum(ReturnRule):
    """G_k = min(s_k, …, s_K), the min-form of PURE (Cheng et al., arXiv 2504.15275) itself.

    The minimum runs over steps, never over tokens: over tokens, those without a score would
    count as 0. What is added or split anywhere can only lower it. A step after the worst one
    has the minimum of its own future, so a good step is not blamed for what went wrong before.
    """

    def returns(self, scores: FloatArray) -> FloatArray:
        """The return from each step on; see `ReturnRule`."""
        return np.minimum.accumulate(scores[::-1])[::-1]
