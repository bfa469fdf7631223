"""When a vote is settled: how sure it is that the leading answer stays ahead.

Aggarwal et al., "Let's sample step by step: adaptive-consistency", arXiv 2305.11860, section 3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum
from functools import lru_cache

import numpy as np

from prm_search.errors import ConfigurationError

_NUM_POINTS = 1000


class Posterior(StrEnum):
    """Which answers the leading one is compared with."""

    beta = "beta"
    """The one with the second most votes. The default of the paper."""
    dirichlet = "dirichlet"
    """All others."""


def confidence(votes: Sequence[int], posterior: Posterior) -> float:
    """The probability that the answer with the most votes is the policy's most frequent one.

    Under a uniform prior over the frequencies of the answers that are compared. A single answer
    is compared with one that nobody gave.

    Args:
        votes: [num_answers], how many samples gave each answer.
        posterior: which answers are compared.
    """
    if not any(votes):
        return 0.0
    ranked = [*sorted(votes, reverse=True), 0]
    num_compared = 2 if posterior is Posterior.beta else max(2, len(votes))
    return _probability_of_lead(tuple(ranked[:num_compared]))


def num_votes_missing(
    votes: Sequence[int], *, required: float, posterior: Posterior, most: int
) -> int:
    """How many further votes for the leading answer would settle the vote, at most `most`.

    No other votes can settle it with fewer.

    Args:
        votes: [num_answers], how many samples gave each answer.
        required: the confidence at which a vote is settled.
        posterior: which answers are compared.
        most: where to stop counting.
    """
    lead, *others = sorted(votes, reverse=True) or [0]
    missing = 0
    while missing < most and _is_open([lead + missing, *others], required, posterior):
        missing += 1
    return missing


def _is_open(votes: Sequence[int], required: float, posterior: Posterior) -> bool:
    return confidence(votes, posterior) < required


def require_reachable(
    algorithm: str, *, confidence: float, posterior: Posterior, max_samples: int
) -> None:
    """Check that a vote can be settled at all, if everybody agrees.

    Raises:
        ConfigurationError: if there are not enough samples for it.
    """
    missing = num_votes_missing([], required=confidence, posterior=posterior, most=max_samples)
    if _is_open([missing], confidence, posterior):
        raise ConfigurationError(
            f"{algorithm}: {max_samples} samples never settle a vote at confidence {confidence}, "
            "even if they all agree, so it would always draw all of them; raise max_samples, "
            "lower confidence, or take search=majority"
        )


@lru_cache(maxsize=4096)
def _probability_of_lead(votes: tuple[int, ...]) -> float:
    """P(p[0] is the largest) for p ~ Dirichlet(votes + 1), where votes[0] is the largest.

    Frequencies of a Dirichlet distribution are independent gamma variables over their sum, which
    leaves one integral: over the first variable, of the probability that all others are below.
    To six digits.
    """
    lead, *others = votes
    end = lead + 12 * math.sqrt(lead + 1) + 24  # nothing worth counting lies beyond
    step = end / _NUM_POINTS
    x = step * np.arange(1, _NUM_POINTS + 1)
    powers = np.arange(lead + 1)[:, np.newaxis]
    factorials = np.array([math.lgamma(power + 1) for power in range(lead + 1)])[:, np.newaxis]
    densities = np.exp(powers * np.log(x) - x - factorials)  # of Gamma(power + 1)
    above = np.cumsum(densities, axis=0)  # P(Gamma(power + 1) > x)
    others_below = np.prod(1.0 - above[list(others)], axis=0)
    return round(float(step * np.sum(densities[lead] * others_below)), 6)
