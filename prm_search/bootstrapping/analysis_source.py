"""How a model is asked for analyses of labeled steps, and how they are found in what it writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from prm_search.prms.generative import GenerativeFamily
from prm_search.prms.rprm import RPrm
from prm_search.types import Failure


@dataclass(frozen=True, kw_only=True, slots=True)
class AnalysisRequest:
    """A message to a model, and the steps that its answer is about."""

    message: str
    steps: tuple[int, ...]
    """0-based, in the order of the solution; at least one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Analysis:
    """What a model wrote about a step, as an R-PRM shall write it."""

    text: str
    is_right: bool
    """Its verdict."""


class AnalysisSource(Protocol):
    """Where analyses to learn from are had from."""

    @property
    def family(self) -> GenerativeFamily:
        """How the R-PRM is asked that learns from them, and how its own analyses are read."""
        ...

    def requests(
        self, prompt: str, steps: Sequence[str], asked: Sequence[int]
    ) -> Sequence[AnalysisRequest]:
        """What the model is asked about some steps of a solution. Each belongs to one request.

        Args:
            prompt: the problem.
            steps: texts of all steps of the solution.
            asked: 0-based, in the order of the solution; at least one.
        """
        ...

    def read(self, written: str, step: int) -> Analysis | Failure:
        """The analysis of a step in what the model wrote, or why there is none."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class StepAnalyses:
    """Asks any chat model about one step at a time, in the very words that the R-PRM is asked in.

    Source: R-PRM (arXiv 2503.21295), section 3.1.
    """

    family: GenerativeFamily = field(default_factory=RPrm)
    """How the R-PRM is asked about a step, and how its verdict is read."""
    preamble: str = ""
    """What the stronger model alone is told before that: a worked example, for instance."""

    def requests(
        self, prompt: str, steps: Sequence[str], asked: Sequence[int]
    ) -> Sequence[AnalysisRequest]:
        """One for each step, which shows the steps before it and none after it."""
        return [
            AnalysisRequest(
                message=self.preamble + self.family.message(prompt, steps[: step + 1]),
                steps=(step,),
            )
            for step in asked
        ]

    def read(self, written: str, step: int) -> Analysis | Failure:
        """All of what was written, if it has a verdict."""
        verdict = self.family.read(written)
        if isinstance(verdict, Failure):
            return verdict
        return Analysis(text=written.strip(), is_right=verdict.is_right)
