"""Only steps below a threshold count, and they cost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from prm_search.errors import ConfigurationError
from prm_search.rewards.credit.rule import FloatArray, ReturnRule, suffix_sums


@dataclass(frozen=True, kw_only=True, slots=True)
class Clip(ReturnRule):
    """G_k = Σ_{j≥k} min(s_j - threshold, 0) (Gao et al., arXiv 2410.15115, Clip).

    No step earns anything, so nothing is gained by more of them.
    """

    threshold: float = 0.5
    """In (0, 1]. The paper wants most steps to be above it."""

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise ConfigurationError(f"Clip: threshold must be in (0, 1], not {self.threshold}")

    def returns(self, scores: FloatArray) -> FloatArray:
        """The return from each step on; see `ReturnRule`."""
        return suffix_sums(np.minimum(scores - self.threshold, 0))
