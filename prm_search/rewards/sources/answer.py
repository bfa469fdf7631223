"""Outcomes from the reference answer."""

from __future__ import annotations

from collections.abc import Sequence

from prm_search.budget import Ledger, Role
from prm_search.concurrency import gather_all
from prm_search.errors import EngineError, GradingError
from prm_search.protocols import Grader
from prm_search.rewards.reward import Reward, step_spans
from prm_search.types import Failure, StopReason, Trajectory, Usage


class AnswerSource:
    """1 for a final answer that is equivalent to the problem's, 0 for another or none.

    A completion that the token limit cut off is wrong, whatever stands in it: it did not end
    in an answer. Without a reference answer, or where equivalence cannot be told, the outcome
    is a Failure.
    """

    def __init__(self, grader: Grader) -> None:
        self._grader = grader
        self._ledger = Ledger()

    @property
    def ledger(self) -> Ledger:
        """What all calls so far have cost, by role."""
        return self._ledger

    async def reward(self, rollouts: Sequence[Trajectory]) -> list[Reward]:
        """Rewards of some rollouts; see `prm_search.rewards.reward.RewardSource`."""
        outcomes = await gather_all(map(self._outcome, rollouts))
        return [
            Reward(spans=step_spans(rollout), outcome=outcome)
            for rollout, outcome in zip(rollouts, outcomes, strict=True)
        ]

    async def _outcome(self, rollout: Trajectory) -> float | Failure:
        reference = rollout.problem.answer
        if reference is None:
            return Failure(
                kind="NoReferenceAnswer",
                message=f"problem {rollout.problem.id!r} has no reference answer to verify with",
            )
        answer = self._grader.extract(rollout.text)
        if answer is None or rollout.stop_reason is StopReason.LENGTH:
            return 0.0
        self._ledger = self._ledger.charge(Role.GRADER, Usage(num_calls=1))
        try:
            return float(await self._grader.equivalent(answer, reference))
        except (GradingError, EngineError) as error:
            return Failure.of(error)
