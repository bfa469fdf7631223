"""What is kept of each problem, as plain values for JSON.

The fields of a record stand in a fixed order and depend on the search alone; everything that
depends on the clock stands in `timing`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import cast

from prm_search.budget import Ledger
from prm_search.concurrency import gather_all
from prm_search.errors import ContextLengthError, EngineError, GradingError
from prm_search.protocols import Grader
from prm_search.types import Candidate, Failure, Problem, SearchResult, Usage


@dataclass(frozen=True, kw_only=True, slots=True)
class Grade:
    """Whether an answer is right, as far as that can be told."""

    is_correct: bool | None
    """None if there is no reference answer or the grader cannot tell."""
    failure: Failure | None = None
    """Why the grader cannot tell."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """When a record was made. All in seconds but `session`."""

    session: int
    """How often the run had been resumed."""
    elapsed: float
    """From the start of the method in this session to the end of this problem."""
    wall: float
    """From the start to the end of this problem; problems overlap."""


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


def is_transient(error: BaseException) -> bool:
    """Whether the same request may succeed when it is tried again."""
    return isinstance(error, EngineError) and not isinstance(error, ContextLengthError)


async def record_of_result(
    result: SearchResult, *, method: str, grader: Grader, num_attempts: int, timing: Timing
) -> dict[str, object]:
    """The record of a search that came to its end."""
    problem = result.problem
    answers = [grader.extract(item.trajectory.text) for item in result.candidates]
    best = None if result.best is None else grader.extract(result.best.trajectory.text)
    distinct = list(dict.fromkeys([*answers, best]))
    graded = await gather_all(grade(answer, problem, grader) for answer in distinct)
    grades = dict(zip(distinct, graded, strict=True))
    failure = _no_choice(result)
    chosen = Grade(is_correct=None) if failure else grades[best]
    return {
        **_head(problem, method, result.seed),
        "answer": best,
        "is_correct": chosen.is_correct,
        "grading_failure": _failure(chosen.failure),
        "error": None if failure is None else {**_failure_values(failure), "is_transient": False},
        "stop_reason": str(result.stop_reason),
        "num_attempts": num_attempts,
        **_ledger(result.ledger),
        "best": _position(result.best, result.candidates),
        "candidates": [
            _candidate(item, answer, grades[answer])
            for item, answer in zip(result.candidates, answers, strict=True)
        ],
        "tree": result.tree.to_json(),
        "timing": _timing(timing, result.ledger),
    }


def record_of_failure(
    problem: Problem,
    error: BaseException,
    *,
    method: str,
    seed: int,
    num_attempts: int,
    timing: Timing,
) -> dict[str, object]:
    """The record of a problem on which the search failed. It is neither right nor wrong."""
    return {
        **_head(problem, method, seed),
        "answer": None,
        "is_correct": None,
        "grading_failure": None,
        "error": {**_failure_values(Failure.of(error)), "is_transient": is_transient(error)},
        "stop_reason": None,
        "num_attempts": num_attempts,
        **_ledger(Ledger()),
        "best": None,
        "candidates": [],
        "tree": None,
        "timing": _timing(timing, Ledger()),
    }


def _head(problem: Problem, method: str, seed: int) -> dict[str, object]:
    return {
        "method": method,
        "problem": problem.id,
        "seed": seed,
        "prompt": problem.prompt,
        "reference": problem.answer,
        "metadata": _plain(problem.metadata),
    }


def _no_choice(result: SearchResult) -> Failure | None:
    """Why no candidate could be chosen, if it is because something failed."""
    if result.best is not None:
        return None
    return next((item.failure for item in result.candidates if item.failure), None)


def _position(best: Candidate | None, candidates: Sequence[Candidate]) -> int | None:
    return next((index for index, item in enumerate(candidates) if item is best), None)


def _candidate(candidate: Candidate, answer: str | None, grade: Grade) -> dict[str, object]:
    return {
        "answer": answer,
        "is_correct": grade.is_correct,
        "scores": None if candidate.scores is None else list(candidate.scores.values),
        "failure": _failure(candidate.failure),
        "num_tokens": candidate.trajectory.num_tokens,
    }


def _ledger(ledger: Ledger) -> dict[str, object]:
    names = [item.name for item in fields(Usage) if item.name != "seconds"]
    return {
        "num_generations": ledger.num_generations,
        "usage": {
            str(role): {name: getattr(ledger.usages[role], name) for name in names}
            for role in sorted(ledger.usages)
        },
    }


def _timing(timing: Timing, ledger: Ledger) -> dict[str, object]:
    return {
        "session": timing.session,
        "elapsed": round(timing.elapsed, 4),
        "wall": round(timing.wall, 4),
        "roles": {str(role): round(ledger.of(role).seconds, 4) for role in sorted(ledger.usages)},
    }


def _failure_values(failure: Failure) -> dict[str, object]:
    return {"kind": failure.kind, "message": failure.message}


def _failure(failure: Failure | None) -> dict[str, object] | None:
    return None if failure is None else _failure_values(failure)


def _plain(value: object) -> object:
    """Any metadata as values that JSON has."""
    if isinstance(value, Mapping):
        items = cast("Mapping[object, object]", value).items()
        return {str(key): _plain(item) for key, item in items}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in cast("Sequence[object]", value)]
    is_json = value is None or isinstance(value, (str, bool, int))
    return value if is_json or (isinstance(value, float) and math.isfinite(value)) else str(value)
