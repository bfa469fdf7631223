"""Why a response is set aside instead of labeled."""

from __future__ import annotations

from enum import StrEnum

from prm_search.labeling.annotation import Response
from prm_search.types import Failure, StopReason


class Reason(StrEnum):
    """What a rejection is counted as."""

    UNFINISHED = "unfinished"
    """The response was cut off before it ended, so its last step is none."""
    NO_REFERENCE_ANSWER = "no_reference_answer"
    """Nothing says which answers are right."""
    UNGRADABLE = "ungradable"
    """Of no answer to a prefix could it be told whether it is right."""
    UNREADABLE = "unreadable"
    """None of the judge's critiques could be read."""
    TIE = "tie"
    """The judge's votes agree on no first error."""
    DISAGREEMENT = "disagreement"
    """The sources name different first errors."""


class Rejection(Exception):
    """Ends the labeling of a response that cannot be labeled; caught by its annotator."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(reason, message)
        self.failure = Failure(kind=reason.value, message=message)


def require_finished(response: Response) -> None:
    """Check that a response has ended by itself.

    Raises:
        Rejection: if it has not.
    """
    stop_reason = response.trajectory.stop_reason
    if stop_reason is not StopReason.END:
        raise Rejection(
            Reason.UNFINISHED, f"the response stopped at {stop_reason} and did not end by itself"
        )


def reference_answer(response: Response) -> str:
    """The right answer of a response's problem.

    Raises:
        Rejection: if it is not known.
    """
    problem = response.trajectory.problem
    if problem.answer is None:
        raise Rejection(
            Reason.NO_REFERENCE_ANSWER, f"problem {problem.id!r} has no reference answer"
        )
    return problem.answer
