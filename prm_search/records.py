"""What is kept of the search of each problem, as plain values for JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from prm_search.budget import Ledger
from prm_search.concurrency import gather_all
from prm_search.errors import GradingError
from prm_search.protocols import Grader
from prm_search.record_fields import (
    Timing,
    cost_values,
    error_values,
    failure_values,
    head_values,
    seconds_of_roles,
    timing_values,
)
from prm_search.types import Candidate, Failure, Problem, SearchResult
from prm_search.voting import group_answers


@dataclass(frozen=True, kw_only=True, slots=True)
class Grade:
    """Whether an answer is right, as far as that can be told."""

    is_correct: bool | None
    """None if there is no reference answer or the grader cannot tell."""
    failure: Failure | None = None
    """Why the grader cannot tell."""


async def grade(answer: str | None, problem: Problem, grader: Grader) -> Grade:
    """Grade an answer; having none is wrong if a right one is known."""
    if problem.answer is None:
        return Grade(is_correct=None)
    if answer is None:
        return Grade(is_correct=False)
    try:
        return Grade(is_correct=await grader.equivalent(answer, problem.answer))
    except GradingError as error:
        return Grade(is_correct=None, failure=Failure.of(error))


async def record_of_result(
    result: SearchResult, *, method: str, grader: Grader
) -> dict[str, object]:
    """The record of a search that came to its end. The time when it was made is still missing."""
    problem = result.problem
    answers = [grader.extract(item.trajectory.text) for item in result.candidates]
    best = None if result.best is None else grader.extract(result.best.trajectory.text)
    distinct = list(dict.fromkeys([*answers, best]))
    graded = await gather_all(grade(answer, problem, grader) for answer in distinct)
    grades = dict(zip(distinct, graded, strict=True))
    groups: dict[int, int] = {}
    for number, group in enumerate(await group_answers(result.candidates, grader)):
        groups |= dict.fromkeys(group.members, number)
    failure = _no_choice(result)
    chosen = Grade(is_correct=None) if failure else grades[best]
    return {
        **head_values(problem, method, result.seed),
        "answer": best,
        "is_correct": chosen.is_correct,
        "grading_failure": _failure(chosen.failure),
        "error": None if failure is None else {**failure_values(failure), "is_transient": False},
        "stop_reason": str(result.stop_reason),
        "num_attempts": 1,
        **cost_values(result.ledger),
        "best": _position(result.best, result.candidates),
        "candidates": [
            _candidate(item, answer, groups.get(index), grades[answer])
            for index, (item, answer) in enumerate(zip(result.candidates, answers, strict=True))
        ],
        "course": None if result.course is None else result.course.to_json(),
        "tree": result.tree.to_json(),
        "timing": {"roles": seconds_of_roles(result.ledger)},
    }


def record_of_failure(
    problem: Problem, error: BaseException, *, method: str, seed: int
) -> dict[str, object]:
    """The record of a problem on which the search failed. It is neither right nor wrong."""
    return {
        **head_values(problem, method, seed),
        "answer": None,
        "is_correct": None,
        "grading_failure": None,
        "error": error_values(error),
        "stop_reason": None,
        "num_attempts": 1,
        **cost_values(Ledger()),
        "best": None,
        "candidates": [],
        "course": None,
        "tree": None,
        "timing": {"roles": {}},
    }


def with_time(record: dict[str, object], timing: Timing, *, num_attempts: int) -> dict[str, object]:
    """A record with the time when it was made, and at which attempt."""
    times = {**timing_values(timing), **cast("Mapping[str, object]", record["timing"])}
    return {**record, "num_attempts": num_attempts, "timing": times}


def _no_choice(result: SearchResult) -> Failure | None:
    """Why no candidate could be chosen, if it is because something failed."""
    if result.best is not None:
        return None
    return next((item.failure for item in result.candidates if item.failure), None)


def _position(best: Candidate | None, candidates: Sequence[Candidate]) -> int | None:
    return next((index for index, item in enumerate(candidates) if item is best), None)


def _candidate(
    candidate: Candidate, answer: str | None, group: int | None, grade: Grade
) -> dict[str, object]:
    return {
        "answer": answer,
        "group": group,
        "is_correct": grade.is_correct,
        "scores": None if candidate.scores is None else list(candidate.scores.values),
        "failure": _failure(candidate.failure),
        "num_tokens": candidate.trajectory.num_tokens,
    }


def _failure(failure: Failure | None) -> dict[str, object] | None:
    return None if failure is None else failure_values(failure)
