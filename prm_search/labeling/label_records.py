"""What is kept of the labeling of each problem, as plain values for JSON.

A record has one entry in `responses` for each distinct response, kept or not, and one in
`set_aside` for each sample that is none. What the annotator's rollouts cost is booked to the
completer, whether or not it is the policy, so that it stands apart from the samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from prm_search.budget import Ledger, Role
from prm_search.concurrency import gather_all
from prm_search.labeling.annotation import Annotation, Response
from prm_search.labeling.labeler import LabeledProblem
from prm_search.protocols import Grader
from prm_search.record_fields import (
    Timing,
    cost_values,
    error_values,
    failure_values,
    head_values,
    plain_values,
    seconds_of_roles,
    timing_values,
)
from prm_search.records import Grade, grade
from prm_search.types import Problem


async def record_of_labels(
    result: LabeledProblem, *, method: str, seed: int, grader: Grader
) -> dict[str, object]:
    """The record of a problem that was labeled. The time when it was made is still missing."""
    problem, failure = result.problem, result.failure
    annotations = [annotation for _, annotation in result.labeled]
    answers = [grader.extract(response.trajectory.text) for response, _ in result.labeled]
    grades = await gather_all(grade(answer, problem, grader) for answer in answers)
    ledger = sum((_spent(item) for item in annotations), result.sampling)
    values = [
        label.value
        for item in annotations
        if item.rejection is None
        for label in item.labels
        if label.value is not None
    ]
    return {
        **head_values(problem, method, seed),
        "error": None if failure is None else {**failure_values(failure), "is_transient": False},
        "num_responses": result.num_samples,
        "num_distinct": len(result.labeled),
        "num_kept": sum(item.rejection is None for item in annotations),
        "num_labels": len(values),
        "sum_of_labels": sum(values),
        "num_rollouts": sum(item.ledger.num_generations for item in annotations),
        **cost_values(ledger),
        "set_aside": [
            {"index": item.index, **failure_values(item.failure)} for item in result.set_aside
        ],
        "responses": [
            _response(response, annotation, answer, graded)
            for (response, annotation), answer, graded in zip(
                result.labeled, answers, grades, strict=True
            )
        ],
        "timing": {"roles": seconds_of_roles(ledger)},
    }


def record_of_failure(
    problem: Problem, error: BaseException, *, method: str, seed: int
) -> dict[str, object]:
    """The record of a problem that could not be labeled. Its time is still missing."""
    return {
        **head_values(problem, method, seed),
        "error": error_values(error),
        "num_responses": 0,
        "num_distinct": 0,
        "num_kept": 0,
        "num_labels": 0,
        "sum_of_labels": 0,
        "num_rollouts": 0,
        **cost_values(Ledger()),
        "set_aside": [],
        "responses": [],
        "timing": {"roles": {}},
    }


def with_time(record: dict[str, object], timing: Timing, *, num_attempts: int) -> dict[str, object]:
    """A record with the time when it was made."""
    times = {**timing_values(timing), "num_attempts": num_attempts}
    return {**record, "timing": {**times, **cast("Mapping[str, object]", record["timing"])}}


def _spent(annotation: Annotation) -> Ledger:
    """What an annotation has cost, the rollouts booked to the completer."""
    ledger = Ledger()
    for role, usage in annotation.ledger.usages.items():
        ledger = ledger.charge(Role.COMPLETER if role is Role.POLICY else role, usage)
    return ledger


def _response(
    response: Response, annotation: Annotation, answer: str | None, graded: Grade
) -> dict[str, object]:
    trajectory, rejection = response.trajectory, annotation.rejection
    return {
        "id": response.id,
        "steps": [step.text for step in trajectory.steps],
        "num_tokens": trajectory.num_tokens,
        "stop_reason": str(trajectory.stop_reason),
        "answer": answer,
        "is_correct": graded.is_correct,
        "rejection": None if rejection is None else failure_values(rejection),
        "first_error": annotation.first_error,
        "labels": [
            {"value": label.value, "source": label.source, "num_rollouts": label.num_rollouts}
            for label in annotation.labels
        ],
        "num_rollouts": annotation.ledger.num_generations,
        "usage": cost_values(_spent(annotation))["usage"],
        "details": plain_values(annotation.details),
    }
