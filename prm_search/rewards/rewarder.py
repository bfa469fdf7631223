"""Rollouts in, rewards and one number each out: what every plugin stands on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from prm_search.errors import ConfigurationError, ScoringError
from prm_search.rewards.credit import GroupCredit, ReturnRule
from prm_search.rewards.reward import Reward, RewardSource
from prm_search.types import Trajectory


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """The reward of a rollout, and what is left of it in one number."""

    reward: Reward
    number: float | None
    """None if something failed, or if the credit only compares rollouts."""

    def require_number(self) -> float:
        """The number, for frameworks that know nothing else.

        Raises:
            ScoringError: if something failed. It is never turned into a number.
            ConfigurationError: if the credit only compares rollouts.
        """
        if self.number is not None:
            return self.number
        if not self.reward.failures:
            raise ConfigurationError(
                "the credit only compares rollouts and gives no number for a single one; use "
                "another, such as min_outcome"
            )
        raise ScoringError(
            "; ".join(f"{failure.kind}: {failure.message}" for failure in self.reward.failures)
        )


class Rewarder(Protocol):
    """Whatever rewards rollouts: engines of this process, or a server."""

    async def __call__(self, rollouts: Sequence[Trajectory]) -> list[Scored]:
        """The rewards of some rollouts. [num_rollouts], in the order given."""
        ...


class LocalRewarder:
    """A source and a credit of this process."""

    def __init__(self, source: RewardSource, credit: GroupCredit | None = None) -> None:
        self._source = source
        self._credit = credit or GroupCredit()

    async def __call__(self, rollouts: Sequence[Trajectory]) -> list[Scored]:
        """The rewards of some rollouts; see `Rewarder`.

        Raises:
            ConfigurationError: if the source does not give what the credit needs.
        """
        rewards = await self._source.reward(rollouts)
        return [Scored(reward=reward, number=self._number(reward)) for reward in rewards]

    def _number(self, reward: Reward) -> float | None:
        credit = self._credit
        has_process = credit.process is not None and credit.process_weight > 0
        if has_process and not isinstance(credit.process, ReturnRule):
            return None
        return credit.scalar(reward)
