"""What is kept of each case, as plain values for JSON, and how it is read back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, cast

from prm_search.errors import StoreError
from prm_search.evaluation.case import Case, Truth
from prm_search.evaluation.result import CaseResult
from prm_search.record_fields import Timing, error_values, failure_values, timing_values
from prm_search.store import RECORDS, RESULTS
from prm_search.types import Failure, Problem, StepScores, Trajectory, Usage, Verdict

_COUNTS = tuple(item.name for item in fields(Usage) if item.name != "seconds")


def record_of(
    result: CaseResult,
    *,
    subject: str,
    seed: int,
    num_attempts: int,
    timing: Timing,
    error: Exception | None = None,
) -> dict[str, object]:
    """The record of a case.

    Args:
        subject: who was asked: "prm", "judge" or "recorded".
        error: what made the engine fail, if it did.
    """
    case, truth = result.case, result.case.truth
    failure = result.failure and {**failure_values(result.failure), "is_transient": False}
    return {
        "method": subject,
        "problem": case.id,
        "seed": seed,
        "group": case.problem,
        "subset": case.subset,
        "num_steps": result.num_steps,
        "num_tokens": result.num_tokens,
        "truth": truth
        and {
            "first_error": truth.first_error,
            "wrong_steps": truth.wrong_steps and list(truth.wrong_steps),
        },
        "answer": case.answer,
        "is_right": case.is_right,
        "scores": result.scores and list(result.scores.values),
        "verdicts": [_verdict(item) for item in result.verdicts],
        "responses": [item.critique for item in result.verdicts if isinstance(item, Verdict)],
        "error": error_values(error) if error else failure,
        "usage": {name: getattr(result.usage, name) for name in _COUNTS},
        "num_attempts": num_attempts,
        "timing": timing_values(timing),
    }


def result_of(record: Mapping[str, Any]) -> CaseResult:
    """What a record says, without the steps and the critiques.

    Raises:
        KeyError: if a field is missing; TypeError or ValueError: if one cannot be understood.
    """
    problem = Problem(id=record["group"], prompt="")
    truth, error = record["truth"], record["error"]
    wrong_steps = truth and truth["wrong_steps"]
    return CaseResult(
        case=Case(
            id=record["problem"],
            problem=record["group"],
            subset=record["subset"],
            trajectory=Trajectory(problem=problem),
            truth=truth
            and Truth(
                first_error=truth["first_error"],
                wrong_steps=None if wrong_steps is None else tuple(wrong_steps),
            ),
            answer=record["answer"],
            is_right=record["is_right"],
        ),
        num_steps=record["num_steps"],
        num_tokens=record["num_tokens"],
        scores=record["scores"] and StepScores(values=tuple(record["scores"])),
        verdicts=tuple(map(_verdict_of, record["verdicts"])),
        failure=error and Failure(kind=error["kind"], message=error["message"]),
        usage=Usage(**record["usage"]),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadResults:
    """The results of an evaluation so far."""

    results: tuple[CaseResult, ...]
    """Sorted by id."""
    num_left: int
    """Cases that an engine failed on; resuming the run asks about them again."""
    is_finished: bool


def read_results(directory: Path) -> ReadResults:
    """Read an evaluation, finished or not; a record that is just being written is left out.

    Raises:
        StoreError: if there is none, or a record cannot be read (file and line named).
    """
    path = directory / RECORDS
    if not path.exists():
        raise StoreError(f"{directory} holds no evaluation: {RECORDS} is not there")
    results: list[CaseResult] = []
    num_left = 0
    for number, line in _whole_lines(path):
        try:
            record = json.loads(line)
            if record["error"] and record["error"]["is_transient"]:
                num_left += 1
            else:
                results.append(result_of(record))
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(
                f"{path}, line {number}: not a record of an evaluation ({error!r})"
            ) from error
    results.sort(key=lambda item: item.case.id)
    return ReadResults(
        results=tuple(results),
        num_left=num_left,
        is_finished=num_left == 0 and (directory / RESULTS).exists(),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationTotals:
    """Sums over the records of an evaluation."""

    num_problems: int = 0
    """Cases that have a record."""
    num_failed: int = 0
    """Cases without scores and verdicts."""
    num_unreadable: int = 0
    """Critiques that could not be read."""
    num_tokens: int = 0
    """Tokens that the PRM or the judge computed."""

    def add(self, record: Mapping[str, object]) -> EvaluationTotals:
        """These totals and one more record."""
        usage = cast("Mapping[str, int]", record["usage"])
        verdicts = cast("list[Mapping[str, object]]", record["verdicts"])
        computed = usage["prompt_tokens"] - usage["cached_tokens"] + usage["generated_tokens"]
        return EvaluationTotals(
            num_problems=self.num_problems + 1,
            num_failed=self.num_failed + (record["error"] is not None),
            num_unreadable=self.num_unreadable + sum("failure" in item for item in verdicts),
            num_tokens=self.num_tokens + computed,
        )

    def __str__(self) -> str:
        parts = [f"{self.num_failed} failed"] if self.num_failed else []
        parts += [f"{self.num_unreadable} critiques unreadable"] if self.num_unreadable else []
        return ", ".join(parts) or "none failed"


def _verdict(verdict: Verdict | Failure) -> dict[str, object]:
    if isinstance(verdict, Failure):
        return {"failure": failure_values(verdict)}
    return {"first_error": verdict.first_error}


def _verdict_of(value: Mapping[str, Any]) -> Verdict | Failure:
    if "failure" in value:
        return Failure(**value["failure"])
    return Verdict(first_error=value["first_error"], critique="")


def _whole_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.endswith(b"\n"):
                yield number, line
