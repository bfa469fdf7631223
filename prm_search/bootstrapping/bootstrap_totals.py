"""Sums over the records of a stage, for its progress and its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast


@dataclass(frozen=True, kw_only=True, slots=True)
class BootstrapTotals:
    """Sums over the records of a stage."""

    num_problems: int = 0
    """Problems that have a record."""
    num_failed: int = 0
    """Problems whose steps could not be analysed."""
    num_steps: int = 0
    """Steps that were analysed."""
    num_kept: int = 0
    """Steps with an analysis that agrees with the label."""
    outcomes: Mapping[str, int] = field(default_factory=dict[str, int])
    """Analyses by what came of them."""
    generated_tokens: int = 0

    @property
    def num_tokens(self) -> int:
        """Tokens that were generated."""
        return self.generated_tokens

    @property
    def retention(self) -> float | None:
        """Share of the steps with an analysis that agrees with the label; None without steps."""
        return self.num_kept / self.num_steps if self.num_steps else None

    def add(self, record: Mapping[str, object]) -> BootstrapTotals:
        """These totals and one more record."""
        values = cast("Mapping[str, Any]", record)
        usage = cast("Mapping[str, Mapping[str, int]]", record["usage"])
        return BootstrapTotals(
            num_problems=self.num_problems + 1,
            num_failed=self.num_failed + (record["error"] is not None),
            num_steps=self.num_steps + values["num_steps"],
            num_kept=self.num_kept + values["num_kept"],
            outcomes={
                name: self.outcomes.get(name, 0) + count
                for name, count in values["outcomes"].items()
            },
            generated_tokens=self.generated_tokens
            + sum(part["generated_tokens"] for part in usage.values()),
        )

    def describe_outcomes(self) -> str:
        """How many analyses came to each outcome that there is."""
        return ", ".join(
            f"{count:,} {name.replace('_', ' ')}" for name, count in self.outcomes.items() if count
        )

    def __str__(self) -> str:
        kept = "–" if self.retention is None else f"{self.retention:.1%}"
        parts = [f"steps kept {kept}", self.describe_outcomes()]
        if self.num_failed:
            parts.append(f"{self.num_failed} failed")
        return ", ".join(part for part in parts if part)
