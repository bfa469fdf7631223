"""What all rules of process credit have in common."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float64]

_SMALLEST_STD = 1e-6
"""Below it, values count as equal: dividing by less would make advantages of rounding errors."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Rated:
    """A rollout that could be scored."""

    scores: FloatArray
    """[num_steps] in [0, 1], at least one."""
    outcome: float | None = None
    """In [0, 1]; None if it is not known."""


class Rule(Protocol):
    """A frozen dataclass that turns step scores of a group into advantages of steps."""

    @property
    def needs_outcome(self) -> bool:
        """Whether rollouts without a known outcome cannot be credited."""
        ...

    def __call__(self, group: Sequence[Rated]) -> list[FloatArray]:
        """The advantage of each step.

        Args:
            group: [num_rollouts] of one problem, in any order: the result does not depend on it.

        Returns:
            [num_rollouts], each [num_steps].
        """
        ...


class ReturnRule(ABC):
    """A rule that says what follows from a step, as a return.

    A step is compared with what the *others* of the group returned from the same place on
    (leave-one-out, as in Ahmadian et al., arXiv 2402.14740, section 3, at each place instead of
    at the first alone). Where another one has ended before, its last step stands in.

    Nothing in that baseline depends on what is sampled from the place on, so it is unbiased. It
    is close to what can be expected there: the minimum of a few steps to come is higher than
    that of many, and with the first step's return as the baseline for all, late steps would be
    praised whatever they say.
    """

    __slots__ = ()

    @property
    def needs_outcome(self) -> bool:
        """False: a return follows from the scores alone."""
        return False

    @abstractmethod
    def returns(self, scores: FloatArray) -> FloatArray:
        """The return from each step on. [num_steps] -> [num_steps]

        The first one is the return of the whole rollout.
        """

    def __call__(self, group: Sequence[Rated]) -> list[FloatArray]:
        """The advantage of each step; see `Rule`."""
        if len(group) < 2:
            return [np.zeros_like(rollout.scores) for rollout in group]
        returns = [self.returns(rollout.scores) for rollout in group]
        longest = max(map(len, returns))
        everywhere = [np.pad(values, (0, longest - len(values)), mode="edge") for values in returns]
        baselines = np.array([leave_one_out(values) for values in np.transpose(everywhere)])
        return [
            values - baseline[: len(values)]
            for values, baseline in zip(returns, baselines.T, strict=True)
        ]


def leave_one_out(values: Sequence[float]) -> list[float]:
    """The mean of all the others, of which there must be one. [num_rollouts]

    The same in every order, and exactly the common value if all are equal.
    """
    low = min(values)
    # fsum rounds once, so the order of the group cannot show; differences of equals are 0.
    total = math.fsum(value - low for value in values)
    return [low + max(total - (value - low), 0.0) / (len(values) - 1) for value in values]


def normalized(values: Sequence[float]) -> list[float]:
    """(value - mean) / std, and 0 where all values are equal. The same in every order."""
    if not values:
        return []
    mean = math.fsum(values) / len(values)
    std = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))
    return [(value - mean) / std if std > _SMALLEST_STD else 0.0 for value in values]


def suffix_sums(values: FloatArray) -> FloatArray:
    """The sum from each step to the last. [num_steps] -> [num_steps]"""
    return np.cumsum(values[::-1])[::-1]
