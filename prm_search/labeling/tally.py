"""What the rollouts of one prefix say about its last step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate, chain, repeat, takewhile


class StepState(StrEnum):
    """What is known of a step."""

    RIGHT = "right"
    WRONG = "wrong"
    OPEN = "open"
    """Further rollouts can decide it."""
    UNKNOWN = "unknown"
    """All rollouts are drawn, and none of them could be graded."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """Outcomes of the rollouts of one prefix."""

    num_successes: int = 0
    num_failures: int = 0
    num_undecided: int = 0
    """Neither success nor failure, such as answers that cannot be graded."""

    @property
    def share(self) -> float | None:
        """The soft label: successes over decided rollouts; None if none is decided."""
        num_decided = self.num_successes + self.num_failures
        return self.num_successes / num_decided if num_decided else None

    def state(self, *, num_rollouts: int, threshold: float) -> StepState:
        """Whether the step's share of successes is above the threshold.

        Decided as soon as no outcome of the remaining rollouts can change it, so that stopping
        then gives the label that all rollouts give.

        Args:
            num_rollouts: how many there are in all, drawn or not.
            threshold: in [0, 1).
        """
        num_decided = self.num_successes + self.num_failures
        num_left = num_rollouts - num_decided - self.num_undecided
        if num_decided + num_left == 0:
            return StepState.UNKNOWN
        if self.num_successes / (num_decided + num_left) > threshold:
            return StepState.RIGHT
        if (self.num_successes + num_left) / (num_decided + num_left) <= threshold:
            return StepState.WRONG
        return StepState.OPEN


def stops(waves: Sequence[int], num_rollouts: int) -> list[int]:
    """How many rollouts are drawn after each wave; the last wave is repeated as needed.

    Example:
        >>> stops([1, 1, 2, 4], 16)
        [1, 2, 4, 8, 12, 16]
    """
    sums = accumulate(chain(waves, repeat(waves[-1])))
    return [*takewhile(lambda count: count < num_rollouts, sums), num_rollouts]
