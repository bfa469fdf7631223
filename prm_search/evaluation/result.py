"""What a PRM or a judge said about a case, beside what is true of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from prm_search.evaluation.case import Case
from prm_search.evaluation.first_error import predicted_first_error
from prm_search.types import Failure, StepScores, Usage, Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """Where the first error is said to be."""

    first_error: int | None
    """0-based; None for "no error"."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CaseResult:
    """What came of a case: scores of a PRM, or verdicts of a judge, or why there are none."""

    case: Case
    """Its trajectory has no steps here: they stay on disk."""
    num_steps: int
    num_tokens: int = 0
    """Policy tokens of the solution; 0 if no policy wrote it."""
    scores: StepScores | None = None
    verdicts: tuple[Verdict | Failure, ...] = ()
    """[num_votes]"""
    failure: Failure | None = None
    """Why there are neither scores nor verdicts."""
    usage: Usage = field(default_factory=Usage)
    """What the PRM or the judge spent."""

    @property
    def num_unreadable(self) -> int:
        """Critiques that could not be read."""
        return sum(isinstance(verdict, Failure) for verdict in self.verdicts)

    def finding(self, threshold: float) -> Finding | None:
        """Where the first error is said to be, or None if nothing is said.

        For scores it is the first step below the threshold. For verdicts it is what most of the
        readable ones say; of equals, the one that was said first.
        """
        if self.scores is not None:
            return Finding(first_error=predicted_first_error(self.scores, threshold))
        return majority(self.verdicts)


def majority(verdicts: Sequence[Verdict | Failure]) -> Finding | None:
    """The most frequent verdict, or None if no critique could be read."""
    votes = [verdict.first_error for verdict in verdicts if isinstance(verdict, Verdict)]
    if not votes:
        return None
    return Finding(first_error=max(votes, key=votes.count))
