"""When enough analyses of a step have been read: its verdict will not change any more.

    confidence 1    the values still missing, whatever they are, leave the mean of all on its side
    below 1         P(θ on its side) ≥ confidence, for θ ~ Beta(1 + Σ values, 1 + Σ (1 - values))

θ is what the mean of ever more values tends to. The second rule is that of adaptive-consistency
(arXiv 2305.11860, section 3) for two answers. A value between 0 and 1 counts as a part of a
"right" and a part of a "wrong" (arXiv 1111.1797 reduces such values to 0 and 1 in this way): as no
values in [0, 1] with the same mean scatter more than 0 and 1 do, this errs on the side of more
samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

_NUM_CELLS = 4000


def num_missing(
    values: Sequence[float], *, most: int, threshold: float, confidence: float | None
) -> int:
    """How many further values could settle the verdict at the earliest, from 0 to `most`.

    Drawing that many side by side therefore draws no more than one by one would.

    Args:
        values: [num_values] in [0, 1], read so far.
        most: how many may still be drawn.
        threshold: below it, a mean says "wrong".
        confidence: above 0.5; None means that only all values settle it.
    """
    if confidence is None:
        return most
    total, count = sum(values), len(values)
    for number in range(most):
        rest = most - number
        for best in (total, total + number):  # if all of them said "wrong", or "right"
            if _is_settled(best, count + number, rest, threshold, confidence):
                return number
    return most


def _is_settled(total: float, count: int, rest: int, threshold: float, confidence: float) -> bool:
    if total >= threshold * (count + rest) or total + rest < threshold * (count + rest):
        return True
    if confidence >= 1 or not count:
        return False
    below = probability_below(threshold, round(total, 3), count)
    return max(below, 1 - below) >= confidence


@lru_cache(maxsize=65536)
def probability_below(threshold: float, total: float, count: int) -> float:
    """P(θ < threshold) for θ ~ Beta(1 + total, 1 + count - total), to six digits."""
    edges = np.linspace(0.0, 1.0, _NUM_CELLS + 1)
    middles = (edges[1:] + edges[:-1]) / 2
    exponents = total * np.log(middles) + (count - total) * np.log1p(-middles)
    shares = np.cumsum(np.exp(exponents - exponents.max()), dtype=np.float64)
    return float(np.interp(threshold, edges, np.concatenate([[0.0], shares / shares[-1]])))
