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

    All rollouts of a group begin in the same state, so what the *others* returned from their
    first step on is an unbiased baseline (leave-one-out; Ahmadian et al., arXiv 2402.14740,
    section 3). It does not depend on how many steps or tokens anybody wrote: a baseline per
    step or per padded length rewards the number of steps.
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
        returns = [self.returns(rollout.scores) for rollout in group]
        baselines = leave_one_out([float(values[0]) for values in returns])
        return [
            values - baseline if baseline is not None else np.zeros_like(values)
            for values, baseline in zip(returns, baselines, strict=True)
        ]


def leave_one_out(values: Sequence[float]) -> list[float | None]:
    """The mean of all the others; None where there are no others. [num_rollouts]

    The same in every order, and exactly the common value if all are equal.
    """
    if len(values) < 2:
        return [None] * len(values)
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
