"""The score of the last step, for all steps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from prm_search.rewards.credit.rule import FloatArray, ReturnRule


@dataclass(frozen=True, kw_only=True, slots=True)
class Last(ReturnRule):
    """G_k = s_K. For scores that are values (Snell et al., arXiv 2408.03314, section 5.1).

    Filler at the end raises it if it scores higher than the last step.
    """

    def returns(self, scores: FloatArray) -> FloatArray:
        """The return from each step on; see `ReturnRule`."""
        return np.full_like(scores, scores[-1])
