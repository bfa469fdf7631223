"""Limits of a search, and the account of what it spent.

Units are literal: tokens, calls, seconds. A `Budget` says how much may be spent; a `Ledger`
says what was spent, by role, so that algorithms can be compared at equal cost.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum

from prm_search.errors import ConfigurationError
from prm_search.types import Usage


class Role(StrEnum):
    """Who spent it, and what a process is for."""

    POLICY = "policy"
    COMPLETER = "completer"
    """Completes prefixes in order to label them."""
    PRM = "prm"
    JUDGE = "judge"
    TEACHER = "teacher"
    """Writes analyses of steps for an R-PRM to learn from."""
    GRADER = "grader"
    CONTROLLER = "controller"
    """Works on problems with the help of the others; spends nothing itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """Limits for one problem; None means no limit.

    A limit is checked before each round of work, so the round in progress is finished and a
    search can overshoot by one round.
    """

    max_generated_tokens: int | None = None
    """Tokens that the policy generates."""
    max_generations: int | None = None
    """Samples drawn from the policy, whatever their length."""
    max_scored_tokens: int | None = None
    """Tokens that the PRM computes."""
    max_seconds: float | None = None
    """Wall time."""

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if value is not None and value <= 0:
                raise ConfigurationError(f"budget.{item.name} must be above 0, not {value}")

    def share(self, num_parts: int) -> Budget:
        """The limits of each of some parts of a search that go on at the same time.

        Args:
            num_parts: at least 1; counts are rounded up.
        """

        def part(limit: int | None) -> int | None:
            return None if limit is None else math.ceil(limit / num_parts)

        return Budget(
            max_generated_tokens=part(self.max_generated_tokens),
            max_generations=part(self.max_generations),
            max_scored_tokens=part(self.max_scored_tokens),
            max_seconds=self.max_seconds,
        )


UNLIMITED = Budget()


@dataclass(frozen=True, kw_only=True, slots=True)
class Ledger:
    """What was spent, by role."""

    usages: Mapping[Role, Usage] = field(default_factory=dict[Role, Usage])
    num_generations: int = 0
    """Samples drawn from the policy."""

    def charge(self, role: Role, usage: Usage, *, num_generations: int = 0) -> Ledger:
        """This ledger with one more entry."""
        usages = dict(self.usages)
        usages[role] = usages.get(role, Usage()) + usage
        return Ledger(usages=usages, num_generations=self.num_generations + num_generations)

    def of(self, role: Role) -> Usage:
        """What a role spent; zero if it did nothing."""
        return self.usages.get(role, Usage())

    def __add__(self, other: Ledger) -> Ledger:
        total = self
        for role, usage in other.usages.items():
            total = total.charge(role, usage)
        return Ledger(
            usages=total.usages, num_generations=self.num_generations + other.num_generations
        )

    def exhausts(self, budget: Budget, seconds: float) -> bool:
        """Whether any limit is reached.

        Args:
            seconds: wall time since the search began.
        """
        pairs = (
            (budget.max_generated_tokens, self.of(Role.POLICY).generated_tokens),
            (budget.max_generations, self.num_generations),
            (budget.max_scored_tokens, self.of(Role.PRM).scored_tokens),
            (budget.max_seconds, seconds),
        )
        return any(limit is not None and spent >= limit for limit, spent in pairs)
