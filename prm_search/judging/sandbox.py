"""The sandbox judge's template: short, because the model is small."""

from __future__ import annotations

from collections.abc import Sequence


def render(prompt: str, steps: Sequence[str]) -> str:
    """The user message that asks for a critique of a solution.

    Args:
        prompt: the problem as the policy saw it.
        steps: content of each step, without separators.
    """
    return f"{prompt}\n\nCheck:\n" + "\n\n".join(steps)
