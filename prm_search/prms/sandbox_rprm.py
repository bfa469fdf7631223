"""The short analyses of the built-in sandbox's R-PRM, which a model of 3M parameters can write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prm_search.prms.generative import WrittenVerdict, read_only_verdict
from prm_search.types import Failure


@dataclass(frozen=True, kw_only=True, slots=True)
class SandboxRPrm:
    """Asks about the last step, and reads an analysis like those of the sandbox's judge.

    Ben: Ann=12 and 12+7=19, got 19. Right
    """

    @property
    def verdicts(self) -> tuple[str, str]:
        """How "wrong" and "right" are written."""
        return " Wrong", " Right"

    def message(self, problem: str, steps: Sequence[str]) -> str:
        """What the model is asked about the last of some steps."""
        solution = "\n\n".join(step.strip() for step in steps)
        return f"{problem}\n\nCheck the last:\n{solution}"

    def read(self, analysis: str) -> WrittenVerdict | Failure:
        """The verdict of an analysis that has exactly one, at its very end."""
        return read_only_verdict(analysis, opening=".", verdicts=self.verdicts)
