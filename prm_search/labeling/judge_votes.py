"""LLM as a judge: the first error that most critiques name.

"The Lessons of Developing Process Reward Models" (arXiv 2501.07301, section 3.1); majority over
several critiques as in ProcessBench (arXiv 2412.06559, section 4).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from prm_search.budget import Ledger, Role
from prm_search.errors import EngineError
from prm_search.labeling.annotation import Annotation, Response
from prm_search.labeling.checks import require_judge
from prm_search.labeling.rejection import Reason, Rejection, require_finished
from prm_search.labeling.step_labels import no_labels, step_labels
from prm_search.protocols import Generator, Grader, Judge
from prm_search.search.checks import require_positive
from prm_search.seeds import derive_seed
from prm_search.types import Failure, Verdict

SOURCE = "judge"


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgeVotes:
    """Labels steps by the first error that a judge names.

    Critiques that cannot be read do not vote. If none can be read, or several places have the
    most votes, the response is set aside.
    """

    num_votes: int = 1
    """Critiques of each response. A judge that samples greedily gives the same one each time."""

    def __post_init__(self) -> None:
        require_positive("JudgeVotes", num_votes=self.num_votes)

    @property
    def needs(self) -> frozenset[Role]:
        """A judge."""
        return frozenset({Role.JUDGE})

    async def __call__(
        self,
        response: Response,
        *,
        completer: Generator | None,
        judge: Judge | None,
        grader: Grader,
        seed: int,
    ) -> Annotation:
        """Label the steps of a response; see `prm_search.labeling.annotation.Annotator`."""
        judge = require_judge(judge, "JudgeVotes")
        num_steps = len(response.trajectory.steps)
        ledger, details = Ledger(), {}
        try:
            require_finished(response)
            judgement = await judge.judge(
                response.trajectory,
                num_votes=self.num_votes,
                seed=derive_seed(seed, "judge", response.id),
            )
            ledger = ledger.charge(Role.JUDGE, judgement.usage)
            votes = judgement.verdicts
            if len(votes) != self.num_votes:
                raise EngineError(
                    f"the judge was asked for {self.num_votes} votes on response {response.id!r} "
                    f"and returned {len(votes)}"
                )
            details = {SOURCE: _summary(votes)}
            first_error = majority(votes)
        except Rejection as rejection:
            return Annotation(
                labels=no_labels(num_steps, source=SOURCE),
                rejection=rejection.failure,
                ledger=ledger,
                details=details,
            )
        return Annotation(
            labels=step_labels(num_steps, first_error, source=SOURCE),
            first_error=first_error,
            ledger=ledger,
            details={SOURCE: {"first_error": first_error, **_summary(votes)}},
        )


def majority(votes: Sequence[Verdict | Failure]) -> int | None:
    """The first error that the most votes name; failures do not vote.

    Raises:
        Rejection: if there is no vote, or if it is a tie.
    """
    counts = Counter(vote.first_error for vote in votes if isinstance(vote, Verdict))
    if not counts:
        raise Rejection(
            Reason.UNREADABLE, f"none of {len(votes)} critiques could be read: {_first(votes)}"
        )
    (winner, most), *others = counts.most_common()
    if any(count == most for _, count in others):
        raise Rejection(Reason.TIE, f"several first errors have {most} of {len(votes)} votes")
    return winner


def _first(votes: Sequence[Verdict | Failure]) -> str:
    return next(vote.message for vote in votes if isinstance(vote, Failure))


def _summary(votes: Sequence[Verdict | Failure]) -> dict[str, object]:
    return {
        "votes": [vote.first_error for vote in votes if isinstance(vote, Verdict)],
        "num_unreadable": sum(isinstance(vote, Failure) for vote in votes),
    }
