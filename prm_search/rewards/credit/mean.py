"""The mean of the step scores, for all steps."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from prm_search.rewards.credit.rule import FloatArray, ReturnRule


@dataclass(frozen=True, kw_only=True, slots=True)
class Mean(ReturnRule):
    """G_k = (s_1 + … + s_K) / K.

    Bounded by the best step, so it does not grow with length, but filler that scores above the
    mean raises it.
    """

    def returns(self, scores: FloatArray) -> FloatArray:
        """The return from each step on; see `ReturnRule`."""
        return np.full_like(scores, math.fsum(scores) / len(scores))
