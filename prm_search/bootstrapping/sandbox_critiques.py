"""Analyses from the built-in sandbox's judge, which writes a line about each step of a solution."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from prm_search.bootstrapping.analysis_source import Analysis, AnalysisRequest
from prm_search.judging.sandbox import render
from prm_search.prms.generative import GenerativeFamily, unreadable
from prm_search.prms.sandbox_rprm import SandboxRPrm
from prm_search.types import Failure


@dataclass(frozen=True, kw_only=True, slots=True)
class SandboxCritiques:
    """Asks for a critique of a whole solution, and takes the line about each step from it.

    A critique ends at the first step that it finds wrong: it has no analysis of those after it.
    """

    family: GenerativeFamily = field(default_factory=SandboxRPrm)
    """How the R-PRM is asked about a step, and how its verdict is read."""

    def requests(
        self, prompt: str, steps: Sequence[str], asked: Sequence[int]
    ) -> Sequence[AnalysisRequest]:
        """One about all of the steps."""
        return [AnalysisRequest(message=render(prompt, steps), steps=tuple(asked))]

    def read(self, written: str, step: int) -> Analysis | Failure:
        """The line of a step, without its number."""
        line = re.search(rf"^{step} (.+)$", written, flags=re.MULTILINE)
        if line is None:
            return unreadable(f"it has no line about step {step}", written)
        verdict = self.family.read(line[1])
        if isinstance(verdict, Failure):
            return verdict
        return Analysis(text=line[1].strip(), is_right=verdict.is_right)
