"""Step scores from a judge that looks for the first wrong step."""

from __future__ import annotations

from collections.abc import Sequence

from prm_search.budget import Ledger, Role
from prm_search.concurrency import gather_all
from prm_search.errors import ConfigurationError, EngineError
from prm_search.protocols import Judge
from prm_search.rewards.reward import Reward, step_spans
from prm_search.seeds import derive_seed
from prm_search.types import Failure, StepScores, Trajectory, Verdict


class JudgeSource:
    """The share of votes that find no error up to and including a step.

    So scores never rise: what follows an error is not known to be right. A critique that cannot
    be read does not vote; without any vote, the rollout has no scores.
    """

    def __init__(self, judge: Judge, *, num_votes: int = 1, seed: int = 0) -> None:
        """Take a judge.

        Args:
            judge: any `Judge`.
            num_votes: critiques of each rollout, at least 1.
            seed: with problem and completion it gives the seed of the critiques.
        """
        if num_votes < 1:
            raise ConfigurationError(f"JudgeSource: num_votes must be at least 1, not {num_votes}")
        self._judge = judge
        self._num_votes = num_votes
        self._seed = seed
        self._ledger = Ledger()

    @property
    def ledger(self) -> Ledger:
        """What all calls so far have cost, by role."""
        return self._ledger

    async def reward(self, rollouts: Sequence[Trajectory]) -> list[Reward]:
        """Rewards of some rollouts; see `prm_search.rewards.reward.RewardSource`."""
        return list(await gather_all(map(self._reward, rollouts)))

    async def _reward(self, rollout: Trajectory) -> Reward:
        spans = step_spans(rollout)
        if not spans:
            return Reward(spans=(), scores=StepScores(values=()))
        seed = derive_seed(self._seed, "reward", rollout.problem.id, rollout.text)
        try:
            judgement = await self._judge.judge(rollout, num_votes=self._num_votes, seed=seed)
        except EngineError as error:
            return Reward(spans=spans, scores=Failure.of(error))
        self._ledger = self._ledger.charge(Role.JUDGE, judgement.usage)
        return Reward(spans=spans, scores=_scores(judgement.verdicts, len(spans)))


def _scores(verdicts: Sequence[Verdict | Failure], num_steps: int) -> StepScores | Failure:
    votes = [verdict.first_error for verdict in verdicts if isinstance(verdict, Verdict)]
    if not votes:
        return next(verdict for verdict in verdicts if isinstance(verdict, Failure))
    return StepScores(
        values=tuple(
            sum(error is None or error > step for error in votes) / len(votes)
            for step in range(num_steps)
        )
    )
