"""Process and outcome together, for the rollouts of one problem."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

import numpy as np

from prm_search.errors import ConfigurationError
from prm_search.rewards.credit.minimum import Minimum
from prm_search.rewards.credit.rule import (
    FloatArray,
    Rated,
    ReturnRule,
    Rule,
    leave_one_out,
    normalized,
)
from prm_search.rewards.reward import Reward
from prm_search.types import Failure, StepScores


class OutcomeBaseline(StrEnum):
    """What an outcome is compared with."""

    leave_one_out = "leave_one_out"
    """A = y - mean of the other rollouts. Ahmadian et al., arXiv 2402.14740, section 3."""
    normalized = "normalized"
    """A = (y - mean) / std of the group, as in GRPO. Shao et al., arXiv 2402.03300, section 4.1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Advantages:
    """The credit of one rollout."""

    steps: tuple[float, ...]
    """[num_steps] process and outcome together, for all tokens of the step."""
    rest: float = 0.0
    """For tokens that belong to no step: those of an empty completion."""
    is_masked: bool = False
    """Whether nothing is known about the rollout: its tokens must not count in the loss. All its
    advantages are 0."""
    failures: tuple[Failure, ...] = ()
    """What could not be obtained, and so is missing from the advantages."""


class Credit(Protocol):
    """A frozen dataclass that credits steps with rewards."""

    def __call__(self, group: Sequence[Reward]) -> list[Advantages]:
        """The advantages of all rollouts of one problem.

        Args:
            group: [num_rollouts], in any order: the result does not depend on it.

        Raises:
            ConfigurationError: if the source of the rewards does not give what is needed.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupCredit:
    """Credits steps with their process and with the outcome.

    By default the minimum of the step scores and the outcome. Both parts are compared within
    the group on their own and added, so that either can be missing: a rollout that could not be
    scored is credited with its outcome alone and is no part of the others' process baseline,
    and the other way round.

    An empty completion is one step that is surely not right (score 0).
    """

    process: Rule | None = field(default_factory=Minimum)
    """How step scores become advantages. None leaves them out."""
    process_weight: float = 1.0
    """At least 0."""
    outcome_weight: float = 1.0
    """At least 0; 0 leaves the outcome out."""
    outcome_baseline: OutcomeBaseline = OutcomeBaseline.leave_one_out
    """What an outcome is compared with. Dividing by the spread makes much of little in groups
    that are nearly all right or all wrong."""

    def __post_init__(self) -> None:
        for name in ("process_weight", "outcome_weight"):
            value = getattr(self, name)
            if not 0 <= value < float("inf"):
                raise ConfigurationError(
                    f"credit.{name} must be at least 0 and finite, not {value}"
                )
        if self.outcome_weight == 0 and not self._has_process:
            raise ConfigurationError(
                "credit has neither process nor outcome; set process or outcome_weight"
            )

    @property
    def _has_process(self) -> bool:
        return self.process is not None and self.process_weight > 0

    def __call__(self, group: Sequence[Reward]) -> list[Advantages]:
        """The advantages of all rollouts of one problem; see `Credit`."""
        parts = zip(group, self._process(group), self._outcome(group), strict=True)
        return [_advantages(reward, process, outcome) for reward, process, outcome in parts]

    def scalar(self, reward: Reward) -> float | None:
        """One number for a whole rollout, for frameworks that take no more; None if it failed.

        The return from the first step on and the outcome, weighted, without a baseline.

        Raises:
            ConfigurationError: if the rule only compares rollouts, or the source of the reward
                does not give what is needed.
        """
        total = 0.0
        if self._has_process:
            if not isinstance(self.process, ReturnRule):
                raise ConfigurationError(
                    f"{type(self.process).__name__} gives no number for a single rollout; use a "
                    "rule that does, such as Minimum, or a framework that takes step advantages"
                )
            scores = _scores(reward)
            if scores is None:
                return None
            total += self.process_weight * float(self.process.returns(scores)[0])
        if self.outcome_weight > 0:
            outcome = _outcome(reward)
            if outcome is None:
                return None
            total += self.outcome_weight * outcome
        return total

    def _process(self, group: Sequence[Reward]) -> list[FloatArray | None]:
        """Advantages of steps; None where there are none, or they are left out."""
        if self.process is None or not self._has_process:
            return [None] * len(group)
        rated: dict[int, Rated] = {}
        for index, reward in enumerate(group):
            scores = _scores(reward)
            outcome = _outcome(reward) if self.process.needs_outcome else None
            if scores is not None and (outcome is not None or not self.process.needs_outcome):
                rated[index] = Rated(scores=scores, outcome=outcome)
        advantages = self.process(list(rated.values()))
        parts: list[FloatArray | None] = [None] * len(group)
        for index, values in zip(rated, advantages, strict=True):
            parts[index] = self.process_weight * values
        return parts

    def _outcome(self, group: Sequence[Reward]) -> list[float | None]:
        """Advantages of rollouts; None where there is none, or it is left out."""
        if self.outcome_weight == 0:
            return [None] * len(group)
        outcomes = {index: _outcome(reward) for index, reward in enumerate(group)}
        known = {index: value for index, value in outcomes.items() if value is not None}
        values = list(known.values())
        match self.outcome_baseline:
            case OutcomeBaseline.leave_one_out:
                advantages = [0.0] * len(values)
                if len(values) > 1:
                    advantages = [
                        value - baseline
                        for value, baseline in zip(values, leave_one_out(values), strict=True)
                    ]
            case OutcomeBaseline.normalized:
                advantages = normalized(values)
        parts: list[float | None] = [None] * len(group)
        for index, value in zip(known, advantages, strict=True):
            parts[index] = self.outcome_weight * value
        return parts


def _advantages(reward: Reward, process: FloatArray | None, outcome: float | None) -> Advantages:
    num_steps = len(reward.spans)
    if process is None and outcome is None:
        return Advantages(steps=(0.0,) * num_steps, is_masked=True, failures=reward.failures)
    values = np.zeros(max(num_steps, 1)) if process is None else process
    total: list[float] = (values + (outcome or 0.0)).tolist()
    if num_steps == 0:
        return Advantages(steps=(), rest=total[0], failures=reward.failures)
    return Advantages(steps=tuple(total), rest=outcome or 0.0, failures=reward.failures)


def _scores(reward: Reward) -> FloatArray | None:
    if reward.scores is None:
        raise ConfigurationError(
            "the credit needs step scores but the reward source gives none; add a PRM or a judge "
            "to it, or leave out credit.process"
        )
    if not isinstance(reward.scores, StepScores):
        return None
    return np.array(reward.scores.values or (0.0,), dtype=np.float64)


def _outcome(reward: Reward) -> float | None:
    if reward.outcome is None:
        raise ConfigurationError(
            "the credit needs outcomes but the reward source gives none; add a verifier to it, or "
            "set credit.outcome_weight=0"
        )
    return None if isinstance(reward.outcome, Failure) else float(reward.outcome)
