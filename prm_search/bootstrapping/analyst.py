"""Has a generator analyse the labeled steps of a problem, and holds the verdicts to the labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from prm_search.bootstrapping.analysis_source import AnalysisRequest, AnalysisSource
from prm_search.bootstrapping.labeled_steps import LabeledProblem, LabeledSolution, LabeledStep
from prm_search.budget import Ledger, Role
from prm_search.concurrency import gather_all
from prm_search.errors import ContextLengthError
from prm_search.protocols import Generator, Until
from prm_search.seeds import derive_seed
from prm_search.types import Failure, Problem, StopReason, Trajectory


class Outcome(StrEnum):
    """What came of asking for an analysis."""

    agrees = "agrees"
    """Its verdict is that of the label."""
    disagrees = "disagrees"
    """Its verdict is the other one."""
    unreadable = "unreadable"
    """It does not have exactly one verdict, at its end."""
    cut_off = "cut_off"
    """The token limit ended it."""
    too_long = "too_long"
    """The request does not fit into the context of the model."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SampledAnalysis:
    """An analysis that was asked for."""

    outcome: Outcome
    text: str = ""
    """Empty unless the verdict can be read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AnalysedStep:
    """A labeled step and all analyses of it."""

    step: LabeledStep
    analyses: tuple[SampledAnalysis, ...]

    def texts(self, outcome: Outcome) -> list[str]:
        """The analyses of one kind."""
        return [item.text for item in self.analyses if item.outcome is outcome]


@dataclass(frozen=True, kw_only=True, slots=True)
class AnalysedProblem:
    """A problem, the analyses of its steps, and what they cost."""

    problem: LabeledProblem
    steps: tuple[tuple[AnalysedStep, ...], ...]
    """Of each solution."""
    ledger: Ledger

    def counts(self) -> dict[str, int]:
        """How many analyses came to each outcome."""
        found = Counter(
            item.outcome for steps in self.steps for step in steps for item in step.analyses
        )
        return {str(outcome): found[outcome] for outcome in Outcome}


@dataclass(frozen=True, kw_only=True, slots=True)
class Analyst:
    """Asks a generator for analyses."""

    generator: Generator
    role: Role
    """What the generator is here, for the account."""
    source: AnalysisSource
    num_analyses: int
    """Of each step, at least 1."""
    seed: int

    async def __call__(self, problem: LabeledProblem) -> AnalysedProblem:
        """Analyse all labeled steps of a problem.

        Raises:
            EngineError: if the engine failed.
        """
        answers = await gather_all(
            self._solution(problem, number, solution)
            for number, solution in enumerate(problem.solutions)
        )
        ledger = sum((spent for _, spent in answers), Ledger())
        return AnalysedProblem(
            problem=problem, steps=tuple(steps for steps, _ in answers), ledger=ledger
        )

    async def _solution(
        self, problem: LabeledProblem, number: int, solution: LabeledSolution
    ) -> tuple[tuple[AnalysedStep, ...], Ledger]:
        labeled = {step.index: step for step in solution.labeled}
        requests = self.source.requests(problem.prompt, solution.steps, list(labeled))
        answers = await gather_all(self._request(problem, number, item) for item in requests)
        steps = tuple(
            self._analysed(labeled[index], written)
            for request, (written, _) in zip(requests, answers, strict=True)
            for index in request.steps
        )
        return steps, sum((spent for _, spent in answers), Ledger())

    async def _request(
        self, problem: LabeledProblem, number: int, request: AnalysisRequest
    ) -> tuple[Sequence[str | Outcome], Ledger]:
        """What was written, or why there is nothing to read."""
        try:
            generation = await self.generator.generate(
                Trajectory(problem=Problem(id=problem.id, prompt=request.message)),
                num_samples=self.num_analyses,
                until=Until.END,
                seed=derive_seed(self.seed, problem.id, number, *request.steps),
            )
        except ContextLengthError:
            return [Outcome.too_long] * self.num_analyses, Ledger()
        written = [
            "".join(step.text for step in steps)
            if steps[-1].stop_reason is StopReason.END
            else Outcome.cut_off
            for steps in generation.continuations
        ]
        ledger = Ledger().charge(
            self.role, generation.usage, num_generations=len(generation.continuations)
        )
        return written, ledger

    def _analysed(self, step: LabeledStep, written: Sequence[str | Outcome]) -> AnalysedStep:
        return AnalysedStep(
            step=step, analyses=tuple(self._sampled(step, answer) for answer in written)
        )

    def _sampled(self, step: LabeledStep, written: str | Outcome) -> SampledAnalysis:
        if isinstance(written, Outcome):
            return SampledAnalysis(outcome=written)
        analysis = self.source.read(written, step.index)
        if isinstance(analysis, Failure):
            return SampledAnalysis(outcome=Outcome.unreadable)
        agrees = analysis.is_right == step.is_right
        return SampledAnalysis(
            outcome=Outcome.agrees if agrees else Outcome.disagrees, text=analysis.text
        )
