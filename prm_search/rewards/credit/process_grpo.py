"""DeepSeekMath's GRPO with process supervision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from prm_search.rewards.credit.rule import FloatArray, Rated, normalized, suffix_sums


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
        scores = normalized([float(score) for rollout in group for score in rollout.scores])
        ends = np.cumsum([len(rollout.scores) for rollout in group])[:-1]
        return [suffix_sums(part) for part in np.split(np.array(scores), ends)] if group else []
