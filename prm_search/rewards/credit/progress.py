"""Progress of each step, as a prover sees it (PAV)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from prm_search.errors import ConfigurationError
from prm_search.rewards.credit.rule import FloatArray, Rated


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """A_k = V(s_k) - V(s_{k-1}), where V is the score of the prefix.

    Setlur et al., arXiv 2410.08146: the advantage of the step under a prover that is not the
    policy; used beside the outcome, weighted by alpha (`GroupCredit.process_weight`). The
    scores have to be values: the prover's chance to reach the right answer, as PRMs trained on
    its Monte-Carlo rollouts give them. A step that changes nothing is credited with nothing.
    """

    initial_value: float | None = None
    """V before the first step, in [0, 1]. None takes the mean over the group of V after the
    first step."""

    def __post_init__(self) -> None:
        if self.initial_value is not None and not 0 <= self.initial_value <= 1:
            raise ConfigurationError(
                f"Progress: initial_value must be in [0, 1], not {self.initial_value}"
            )

    @property
    def needs_outcome(self) -> bool:
        """False: step scores are all that it uses."""
        return False

    def __call__(self, group: Sequence[Rated]) -> list[FloatArray]:
        """The advantage of each step; see `prm_search.rewards.credit.rule.Rule`."""
        if not group:
            return []
        initial = self.initial_value
        if initial is None:
            initial = math.fsum(rollout.scores[0] for rollout in group) / len(group)
        return [np.diff(rollout.scores, prepend=initial) for rollout in group]
