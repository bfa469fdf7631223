"""PROGRS: step scores as preferences among rollouts with the same outcome."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from prm_search.rewards.credit.rule import FloatArray, Rated


@dataclass(frozen=True, kw_only=True, slots=True)
class OutcomeCentering:
    """A_k = m - mean of m over the group's wrong rollouts, for a wrong rollout; m for a right one.

    m is the mean of a rollout's step scores. Rezaei et al. (PROGRS), arXiv 2604.02341: wrong
    rollouts as a whole gain nothing from their scores, and only compare with each other. The
    paper's quantile PRM and coherence score are matters of the scorer, not of credit.
    """

    center_right: bool = False
    """Whether right rollouts are centered among themselves as well."""

    @property
    def needs_outcome(self) -> bool:
        """True."""
        return True

    def __call__(self, group: Sequence[Rated]) -> list[FloatArray]:
        """The advantage of each step; see `prm_search.rewards.credit.rule.Rule`.

        Raises:
            ValueError: if an outcome is not known.
        """
        means = [math.fsum(rollout.scores) / len(rollout.scores) for rollout in group]
        is_right = [_is_right(rollout) for rollout in group]
        wrong = [mean for mean, right in zip(means, is_right, strict=True) if not right]
        right = [mean for mean, right in zip(means, is_right, strict=True) if right]
        center = {
            False: math.fsum(wrong) / len(wrong) if wrong else 0.0,
            True: math.fsum(right) / len(right) if right and self.center_right else 0.0,
        }
        return [
            np.full_like(rollout.scores, mean - center[right])
            for rollout, mean, right in zip(group, means, is_right, strict=True)
        ]


def _is_right(rollout: Rated) -> bool:
    if rollout.outcome is None:
        raise ValueError("OutcomeCentering needs the outcome of every rollout")
    return rollout.outcome >= 0.5
