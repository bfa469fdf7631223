"""What is kept of the analyses of each problem, as plain values for JSON, and reading it again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from prm_search.bootstrapping.analyst import (
    AnalysedProblem,
    AnalysedStep,
    Outcome,
    SampledAnalysis,
)
from prm_search.bootstrapping.labeled_steps import LabeledProblem, LabeledSolution, LabeledStep
from prm_search.budget import Ledger
from prm_search.errors import DataError
from prm_search.record_fields import cost_values, error_values, head_values, seconds_of_roles
from prm_search.store import RESULTS
from prm_search.types import Problem


def record_of_analyses(result: AnalysedProblem, *, method: str, seed: int) -> dict[str, object]:
    """The record of a problem whose steps were analysed. Its time is still missing."""
    problem = result.problem
    steps = [step for solution in result.steps for step in solution]
    return {
        **head_values(Problem(id=problem.id, prompt=problem.prompt), method, seed),
        "error": None,
        "num_steps": len(steps),
        "num_kept": sum(bool(step.texts(Outcome.agrees)) for step in steps),
        "outcomes": result.counts(),
        **cost_values(result.ledger),
        "responses": [
            {
                "steps": list(solution.steps),
                "analysed": [_step_values(step) for step in analysed],
            }
            for solution, analysed in zip(problem.solutions, result.steps, strict=True)
        ],
        "timing": {"roles": seconds_of_roles(result.ledger)},
    }


def record_of_failure(
    problem: Problem, error: BaseException, *, method: str, seed: int
) -> dict[str, object]:
    """The record of a problem whose steps could not be analysed. Its time is still missing."""
    return {
        **head_values(problem, method, seed),
        "error": error_values(error),
        "num_steps": 0,
        "num_kept": 0,
        "outcomes": {str(outcome): 0 for outcome in Outcome},
        **cost_values(Ledger()),
        "responses": [],
        "timing": {"roles": {}},
    }


def read_analyses(directory: Path) -> Iterator[AnalysedProblem]:
    """The problems of a finished run and the analyses of their steps, in the order of the data.

    Problems that failed are left out.

    Raises:
        DataError: if the run is not finished.
    """
    path = directory / RESULTS
    if not path.exists():
        raise DataError(f"{directory} holds no finished analyses")
    with path.open() as file:
        for line in file:
            record = json.loads(line)
            if record["error"] is None:
                yield _problem(record)


def _step_values(item: AnalysedStep) -> dict[str, object]:
    return {
        "step": item.step.index,
        "is_right": item.step.is_right,
        "analyses": [
            {"outcome": str(analysis.outcome), "text": analysis.text} for analysis in item.analyses
        ],
    }


def _problem(record: Mapping[str, Any]) -> AnalysedProblem:
    responses = cast("list[dict[str, Any]]", record["responses"])
    steps = tuple(tuple(map(_step, response["analysed"])) for response in responses)
    return AnalysedProblem(
        problem=LabeledProblem(
            id=record["problem"],
            prompt=record["prompt"],
            solutions=tuple(
                LabeledSolution(
                    steps=tuple(response["steps"]), labeled=tuple(item.step for item in analysed)
                )
                for response, analysed in zip(responses, steps, strict=True)
            ),
        ),
        steps=steps,
        ledger=Ledger(),
    )


def _step(values: Mapping[str, Any]) -> AnalysedStep:
    return AnalysedStep(
        step=LabeledStep(index=values["step"], is_right=values["is_right"]),
        analyses=tuple(
            SampledAnalysis(outcome=Outcome(item["outcome"]), text=item["text"])
            for item in values["analyses"]
        ),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class BootstrapTotals:
    """Sums over the records of a stage."""

    num_problems: int = 0
    """Problems that have a record."""
    num_failed: int = 0
    """Problems whose steps could not be analysed."""
    num_steps: int = 0
    """Steps that were analysed."""
    num_kept: int = 0
    """Steps with an analysis that agrees with the label."""
    outcomes: Mapping[str, int] = field(default_factory=dict[str, int])
    """Analyses by what came of them."""
    generated_tokens: int = 0

    @property
    def num_tokens(self) -> int:
        """Tokens that were generated."""
        return self.generated_tokens

    @property
    def retention(self) -> float | None:
        """Share of the steps with an analysis that agrees with the label; None without steps."""
        return self.num_kept / self.num_steps if self.num_steps else None

    def add(self, record: Mapping[str, object]) -> BootstrapTotals:
        """These totals and one more record."""
        values = cast("Mapping[str, Any]", record)
        usage = cast("Mapping[str, Mapping[str, int]]", record["usage"])
        return BootstrapTotals(
            num_problems=self.num_problems + 1,
            num_failed=self.num_failed + (record["error"] is not None),
            num_steps=self.num_steps + values["num_steps"],
            num_kept=self.num_kept + values["num_kept"],
            outcomes={
                name: self.outcomes.get(name, 0) + count
                for name, count in values["outcomes"].items()
            },
            generated_tokens=self.generated_tokens
            + sum(part["generated_tokens"] for part in usage.values()),
        )

    def describe_outcomes(self) -> str:
        """How many analyses came to each outcome that there is."""
        return ", ".join(
            f"{count:,} {name.replace('_', ' ')}" for name, count in self.outcomes.items() if count
        )

    def __str__(self) -> str:
        kept = "–" if self.retention is None else f"{self.retention:.1%}"
        parts = [f"steps kept {kept}", self.describe_outcomes()]
        if self.num_failed:
            parts.append(f"{self.num_failed} failed")
        return ", ".join(part for part in parts if part)
