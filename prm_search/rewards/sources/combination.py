"""Several sources as one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import TypeVar

from prm_search.budget import Ledger
from prm_search.concurrency import gather_all
from prm_search.errors import ConfigurationError
from prm_search.rewards.reward import Reward, RewardSource
from prm_search.types import Failure, StepScores, Trajectory

Part = TypeVar("Part")


class Blend(StrEnum):
    """How the scores of several sources become one."""

    min = "min"
    """A step is as good as the source that likes it least: all have to be fooled at once."""
    mean = "mean"
    """The arithmetic mean."""


class Combination:
    """Sources that are asked side by side, such as a PRM and a verifier.

    Scores, and likewise outcomes, of the sources that give any are blended. If one of those
    failed, so has the combination: a blend of fewer sources would be another reward.
    """

    def __init__(self, sources: Sequence[RewardSource], *, blend: Blend = Blend.min) -> None:
        """Take sources.

        Args:
            sources: at least one.
            blend: only matters if several of them give scores, or several outcomes.
        """
        if not sources:
            raise ConfigurationError("Combination: name at least one source")
        self._sources = tuple(sources)
        self._blend = blend

    @property
    def ledger(self) -> Ledger:
        """What all calls so far have cost, by role."""
        return sum((source.ledger for source in self._sources), start=Ledger())

    async def reward(self, rollouts: Sequence[Trajectory]) -> list[Reward]:
        """Rewards of some rollouts; see `prm_search.rewards.reward.RewardSource`."""
        answers = await gather_all(source.reward(rollouts) for source in self._sources)
        return [self._combine(rewards) for rewards in zip(*answers, strict=True)]

    def _combine(self, rewards: Sequence[Reward]) -> Reward:
        return Reward(
            spans=rewards[0].spans,
            scores=_merge([reward.scores for reward in rewards], self._blend_scores),
            outcome=_merge([reward.outcome for reward in rewards], self._blend_numbers),
        )

    def _blend_scores(self, scores: Sequence[StepScores]) -> StepScores:
        steps = zip(*(one.values for one in scores), strict=True)
        return StepScores(values=tuple(map(self._blend_numbers, steps)))

    def _blend_numbers(self, values: Sequence[float]) -> float:
        match self._blend:
            case Blend.min:
                return min(values)
            case Blend.mean:
                return math.fsum(values) / len(values)


def _merge(
    parts: Sequence[Part | Failure | None], blend: Callable[[Sequence[Part]], Part]
) -> Part | Failure | None:
    """The blend of what was given; a Failure if any part is one, None if nothing was given."""
    given: list[Part] = []
    for part in parts:
        if isinstance(part, Failure):
            return part
        if part is not None:
            given.append(part)
    return blend(given) if given else None
