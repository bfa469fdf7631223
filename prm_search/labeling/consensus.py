"""Consensus: keep a response only where rollouts and judge name the same first error.

"The Lessons of Developing Process Reward Models" (arXiv 2501.07301, section 3.1).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial

from prm_search.budget import Ledger, Role
from prm_search.concurrency import gather_all
from prm_search.labeling import monte_carlo
from prm_search.labeling.annotation import Annotation, Response
from prm_search.labeling.checks import require_completer, require_judge
from prm_search.labeling.first_error import deciding_checks
from prm_search.labeling.judge_votes import JudgeVotes
from prm_search.labeling.monte_carlo import MonteCarlo, Order
from prm_search.labeling.rejection import Reason, Rejection, reference_answer
from prm_search.labeling.rollout_labels import label_by_rollouts
from prm_search.labeling.rollouts import Rollouts
from prm_search.labeling.step_labels import no_labels
from prm_search.protocols import Generator, Grader, Judge

SOURCE = "consensus"


@dataclass(frozen=True, kw_only=True, slots=True)
class Consensus:
    """Labels steps by Monte-Carlo estimation, where a judge agrees on the first error.

    With `monte_carlo.order=lazy` the judge comes first, and then only those steps are checked
    that decide whether Monte-Carlo estimation agrees: the judged step has to be wrong, every
    step before it right. With any other order both label the response in full, side by side.
    The kept responses and their hard labels are the same for `lazy`, `stop_at_first_error` and
    `exhaustive`; of one that is set aside, the reason may differ.
    """

    monte_carlo: MonteCarlo = field(default_factory=MonteCarlo)
    """How steps are checked by rollouts."""
    judge_votes: JudgeVotes = field(default_factory=JudgeVotes)
    """How the judge is asked."""

    @property
    def needs(self) -> frozenset[Role]:
        """A completer and a judge."""
        return self.monte_carlo.needs | self.judge_votes.needs

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
        completer = require_completer(completer, "Consensus")
        judge = require_judge(judge, "Consensus")
        if self.monte_carlo.order is not Order.lazy:
            verdict, estimate = await gather_all(
                source(response, completer=completer, judge=judge, grader=grader, seed=seed)
                for source in (self.judge_votes, self.monte_carlo)
            )
            return joined(verdict, estimate)
        try:
            reference_answer(response)  # without one, there is nothing to ask the judge for
        except Rejection as rejection:
            labels = no_labels(len(response.trajectory.steps), source=SOURCE)
            return Annotation(labels=labels, rejection=rejection.failure)
        verdict = await self.judge_votes(
            response, completer=completer, judge=judge, grader=grader, seed=seed
        )
        if verdict.rejection is not None:
            return joined(verdict)
        estimate = await label_by_rollouts(
            response,
            partial(self._confirm, verdict.first_error),
            completer=completer,
            grader=grader,
            seed=seed,
            source=monte_carlo.SOURCE,
        )
        return joined(verdict, estimate)

    async def _confirm(self, claimed: int | None, rollouts: Rollouts) -> int | None:
        for step, has_to_be_right in deciding_checks(claimed, rollouts.num_steps):
            is_right = await self.monte_carlo.is_right(rollouts, step)
            if is_right is not has_to_be_right:
                raise _disagreement(claimed, f"step {step} {'right' if is_right else 'wrong'}")
        return claimed


def joined(verdict: Annotation, estimate: Annotation | None = None) -> Annotation:
    """What a judge and the rollouts, if there are any, amount to together."""
    parts = [verdict] if estimate is None else [verdict, estimate]
    rejection = next((part.rejection for part in parts if part.rejection is not None), None)
    first_errors = [part.first_error for part in parts]
    if rejection is None and first_errors[0] != first_errors[-1]:
        rejection = _disagreement(first_errors[0], _place(first_errors[-1])).failure
    return Annotation(
        labels=tuple(
            replace(label, source=SOURCE, value=None if rejection else label.value)
            for label in parts[-1].labels
        ),
        first_error=None if rejection else verdict.first_error,
        rejection=rejection,
        ledger=sum((part.ledger for part in parts), Ledger()),
        details={key: value for part in parts for key, value in part.details.items()},
    )


def _disagreement(claimed: int | None, found: str) -> Rejection:
    return Rejection(
        Reason.DISAGREEMENT, f"the judge finds {_place(claimed)}, the rollouts find {found}"
    )


def _place(first_error: int | None) -> str:
    return "no error" if first_error is None else f"the first error at step {first_error}"
