"""One number for a trajectory from the scores of its steps."""

from __future__ import annotations

import math
from enum import StrEnum

from prm_search.types import StepScores


class Aggregation(StrEnum):
    """How the scores of the steps become the score of a trajectory or prefix."""

    min = "min"
    """The worst step. Lightman et al., arXiv 2305.20050, appendix F."""
    product = "product"
    """The probability that every step is right, taking steps as independent.
    Lightman et al., arXiv 2305.20050, section 2.6; Zhang et al., arXiv 2501.07301."""
    last = "last"
    """The last step. Snell et al., arXiv 2408.03314, section 5.1."""
    mean = "mean"
    """The arithmetic mean."""


def aggregate(scores: StepScores, how: Aggregation) -> float:
    """The score of a trajectory, in [0, 1].

    Args:
        scores: [num_steps] with at least one step.
        how: the formula.

    Raises:
        ValueError: if there is no step.
    """
    values = scores.values
    if not values:
        raise ValueError("a trajectory without steps has no score")
    match how:
        case Aggregation.min:
            return min(values)
        case Aggregation.product:
            return math.prod(values)
        case Aggregation.last:
            return values[-1]
        case Aggregation.mean:
            return math.fsum(values) / len(values)
