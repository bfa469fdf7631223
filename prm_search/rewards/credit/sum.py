"""The discounted sum of step scores, which policies hack."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from prm_search.errors import ConfigurationError
from prm_search.rewards.credit.rule import FloatArray, ReturnRule


@dataclass(frozen=True, kw_only=True, slots=True)
class Sum(ReturnRule):
    """G_k = Σ_{j≥k} discount^(j-k) s_j, the usual return of RL.

    Scores are not negative, so every further step raises it: a policy learns to write filler.
    Here to compare with; see Cheng et al., arXiv 2504.15275, and Gao et al., arXiv 2410.15115.
    """

    allow_hacking: bool = False
    """Must be true: says that the collapse is what is wanted."""
    discount: float = 1.0
    """In [0, 1]."""

    def __post_init__(self) -> None:
        if not self.allow_hacking:
            raise ConfigurationError(
                "Sum: summed step scores pay for the number of steps, and policies learn to "
                "write filler; use Minimum, or set allow_hacking=true to see it happen"
            )
        if not 0 <= self.discount <= 1:
            raise ConfigurationError(f"Sum: discount must be in [0, 1], not {self.discount}")

    def returns(self, scores: FloatArray) -> FloatArray:
        """The return from each step on; see `ReturnRule`."""
        returns = np.empty_like(scores)
        following = 0.0
        for step in reversed(range(len(scores))):
            following = scores[step] + self.discount * following
            returns[step] = following
        return returns
