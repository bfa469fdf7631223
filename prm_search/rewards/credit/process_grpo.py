"""DeepSeekMath's GRPO with process supervision."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from prm_search.rewards.credit.rule import FloatArray, Rated, suffix_sums


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessGRPO:
    """A_k = Σ_{j≥k} (s_j - mean) / std, over all step scores of the group.

    Shao et al. (DeepSeekMath), arXiv 2402.03300, section 4.1.3. It is a sum: where steps score
    above the group's mean, more of them pay, and below it, an early end does.
    """

    @property
    def needs_outcome(self) -> bool:
        """False: step scores are all that it uses."""
        return False

    def __call__(self, group: Sequence[Rated]) -> list[FloatArray]:
        """The advantage of each step; see `prm_search.rewards.credit.rule.Rule`."""
        pooled = [float(score) for rollout in group for score in rollout.scores]
        if not pooled or min(pooled) == max(pooled):
            return [np.zeros_like(rollout.scores) for rollout in group]
        mean = math.fsum(pooled) / len(pooled)
        std = math.sqrt(math.fsum((score - mean) ** 2 for score in pooled) / len(pooled))
        return [suffix_sums((rollout.scores - mean) / std) for rollout in group]
