r"""The short critique format of the sandbox judge.

The critique has one line for each step and ends in `\boxed{k}`: k is the 0-based index of the
first wrong step, or -1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prm_search.judging.boxed import read_boxed_index
from prm_search.types import Failure, Verdict


def render(prompt: str, steps: Sequence[str]) -> str:
    """The message to the judge.

    Args:
        prompt: the problem.
        steps: texts of the steps, with or without the separators after them.
    """
    solution = "\n\n".join(step.strip() for step in steps)
    return f"{prompt}\n\nCheck:\n{solution}"


@dataclass(frozen=True, kw_only=True, slots=True)
class SandboxCritique:
    """Asks for a critique in the sandbox judge's format."""

    def render(self, prompt: str, steps: Sequence[str]) -> str:
        """The message to the judge."""
        return render(prompt, steps)

    def parse(self, critique: str, num_steps: int) -> Verdict | Failure:
        """The verdict in a critique."""
        return read_boxed_index(critique, num_steps)
