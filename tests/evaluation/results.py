"""Results written by hand, for tests."""

from __future__ import annotations

from collections.abc import Sequence

from prm_search.evaluation.case import Case, Truth
from prm_search.evaluation.result import CaseResult
from prm_search.types import Failure, Problem, StepScores, Trajectory, Usage, Verdict

UNREADABLE = Failure(kind="JudgeError", message="no box")


def result(
    name: str,
    *,
    problem: str | None = None,
    subset: str = "all",
    first_error: int | None = None,
    wrong_steps: Sequence[int] | None = None,
    has_truth: bool = True,
    scores: Sequence[float] | None = None,
    votes: Sequence[int | Failure | None] = (),
    is_right: bool | None = None,
    answer: str | None = None,
    num_tokens: int = 0,
    usage: Usage | None = None,
) -> CaseResult:
    verdicts = tuple(
        vote if isinstance(vote, Failure) else Verdict(first_error=vote, critique="")
        for vote in votes
    )
    truth = Truth(
        first_error=first_error, wrong_steps=None if wrong_steps is None else tuple(wrong_steps)
    )
    return CaseResult(
        case=Case(
            id=name,
            problem=problem or name,
            subset=subset,
            trajectory=Trajectory(problem=Problem(id=problem or name, prompt="")),
            truth=truth if has_truth else None,
            answer=answer,
            is_right=is_right,
        ),
        num_steps=len(scores) if scores else 4,
        num_tokens=num_tokens,
        scores=None if scores is None else StepScores(values=tuple(scores)),
        verdicts=verdicts,
        failure=None if scores is not None or verdicts else UNREADABLE,
        usage=usage or Usage(),
    )
