"""Weights of prefixes: from scores, how even they are, and drawing by them."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from itertools import accumulate

_CLOSEST = 1e-6
"""How close to 0 and 1 a score may come before its odds are taken."""


def log_odds(score: float) -> float:
    """log(score / (1 - score)), kept finite for scores of 0 and 1."""
    score = min(max(score, _CLOSEST), 1 - _CLOSEST)
    return math.log(score) - math.log1p(-score)


def softmax(logits: Sequence[float]) -> list[float]:
    """Weights in proportion to exp(logit), summing to 1.

    Args:
        logits: [num_weights], at least one.
    """
    highest = max(logits)
    weights = [math.exp(logit - highest) for logit in logits]
    total = math.fsum(weights)
    return [weight / total for weight in weights]


def effective_sample_size(weights: Sequence[float]) -> float:
    """1 / sum of squares: as many equal weights would be as good. In [1, num_weights].

    Liu and Chen, "Sequential Monte Carlo methods for dynamic systems" (1998), section 2.4.
    """
    return 1 / math.fsum(weight * weight for weight in weights)


def draw_systematic(weights: Sequence[float], count: int, rng: random.Random) -> list[int]:
    """Indices drawn in proportion to the weights, rising.

    Each index comes up as often as its share of `count` says, rounded up or down, and exactly so
    on average. Carpenter, Clifford and Fearnhead, "Improved particle filter for nonlinear
    problems" (1999).

    Args:
        weights: [num_weights], summing to 1.
        count: how many indices.
        rng: draws one number.
    """
    # Evenly spaced draws would resonate with a pattern in the order of the weights; sorted, equal
    # weights lie side by side.
    order = sorted(range(len(weights)), key=lambda index: -weights[index])
    ends = list(accumulate(weights[index] for index in order))
    offset = rng.random()
    drawn: list[int] = []
    rank = 0
    for place in range(count):
        while rank < len(ends) - 1 and ends[rank] * count <= place + offset:
            rank += 1
        drawn.append(order[rank])
    return sorted(drawn)


def draw_independent(weights: Sequence[float], count: int, rng: random.Random) -> list[int]:
    """Indices drawn one by one in proportion to the weights (multinomial), rising."""
    return sorted(rng.choices(range(len(weights)), weights=weights, k=count))
