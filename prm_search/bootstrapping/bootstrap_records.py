"""What is kept of the analyses of each problem, as plain values for JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from prm_search.bootstrapping.analyst import (
    AnalysedProblem,
    AnalysedStep,
    Outcome,
    SampledAnalysis,
)
from prm_search.bootstrapping.labeled_steps import LabeledProblem, LabeledSolution, LabeledStep
from prm_search.budget import Ledger
from prm_search.record_fields import cost_values, error_values, head_values, seconds_of_roles
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


def _step_values(item: AnalysedStep) -> dict[str, object]:
    return {
        "step": item.step.index,
        "is_right": item.step.is_right,
        "analyses": [
            {"outcome": str(analysis.outcome), "text": analysis.text} for analysis in item.analyses
        ],
    }


def problem_of_record(record: Mapping[str, Any]) -> AnalysedProblem:
    """The problem of a record and the analyses of its steps."""
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
