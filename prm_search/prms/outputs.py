"""From what a head puts out to probabilities."""

from __future__ import annotations

import math
from collections.abc import Sequence


def probabilities(logits: Sequence[float]) -> tuple[float, ...]:
    """Softmax over the classes; the sigmoid, if there is one output only.

    Logits that are not finite give probabilities that are not a number.
    """
    if not all(map(math.isfinite, logits)):
        return (math.nan,) * len(logits)
    if len(logits) == 1:
        return (_sigmoid(logits[0]),)
    highest = max(logits)
    odds = [math.exp(value - highest) for value in logits]
    total = sum(odds)
    return tuple(value / total for value in odds)


def _sigmoid(value: float) -> float:
    if value >= 0:
        return 1 / (1 + math.exp(-value))
    return math.exp(value) / (1 + math.exp(value))
