"""Step scores from a PRM, discriminative or generative."""

from __future__ import annotations

from collections.abc import Sequence

from prm_search.budget import Ledger, Role
from prm_search.concurrency import gather_all
from prm_search.errors import EngineError
from prm_search.protocols import Scorer
from prm_search.rewards.reward import Reward, step_spans
from prm_search.types import Failure, Scoring, StepScores, Trajectory, Usage


class PrmSource:
    """The scores of any `Scorer`: the one that a search uses, an R-PRM, a pool of them."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self._ledger = Ledger()

    @property
    def ledger(self) -> Ledger:
        """What all calls so far have cost, by role."""
        return self._ledger

    async def reward(self, rollouts: Sequence[Trajectory]) -> list[Reward]:
        """Rewards of some rollouts; see `prm_search.rewards.reward.RewardSource`."""
        spans = [step_spans(rollout) for rollout in rollouts]
        # One call per problem: the error of an engine is then the failure of its own group.
        groups: dict[str, list[int]] = {}
        for index, rollout in enumerate(rollouts):
            if spans[index]:
                groups.setdefault(rollout.problem.id, []).append(index)
        scorings = await gather_all(
            self._score([rollouts[index] for index in indices]) for indices in groups.values()
        )
        scores: dict[int, StepScores | Failure] = {}
        for indices, scoring in zip(groups.values(), scorings, strict=True):
            scores.update(zip(indices, scoring.scores, strict=True))
            self._ledger = self._ledger.charge(Role.PRM, scoring.usage)
        nothing = StepScores(values=())
        return [
            Reward(spans=span, scores=scores.get(index, nothing))
            for index, span in enumerate(spans)
        ]

    async def _score(self, rollouts: Sequence[Trajectory]) -> Scoring:
        try:
            return await self._scorer.score(rollouts)
        except EngineError as error:
            return Scoring(scores=(Failure.of(error),) * len(rollouts), usage=Usage())
