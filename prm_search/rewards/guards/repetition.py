"""How much of a response was said before in it."""

from __future__ import annotations

from collections.abc import Sequence

NUM_WORDS = 4
"""Words of a phrase; shorter ones recur in any honest solution."""


def repetition(text: str) -> float:
    """The share of phrases of 4 words that occurred before, in [0, 1)."""
    words = text.split()
    phrases = [tuple(words[start : start + NUM_WORDS]) for start in range(len(words) - 3)]
    return 1 - len(set(phrases)) / len(phrases) if phrases else 0.0


def repeated_steps(steps: Sequence[str]) -> float:
    """The share of steps whose words occurred before as a whole step, in [0, 1)."""
    contents = [" ".join(step.split()) for step in steps]
    return 1 - len(set(contents)) / len(contents) if contents else 0.0
