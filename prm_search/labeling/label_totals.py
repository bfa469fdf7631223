"""Sums over the records of a labeling run, for its progress and its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelTotals:
    """Sums over the records of one annotator."""

    num_problems: int = 0
    """Problems that have a record."""
    num_failed: int = 0
    """Problems that could not be labeled."""
    num_responses: int = 0
    """Responses that were sampled, duplicates and empty ones included."""
    num_distinct: int = 0
    """Responses that were labeled or rejected."""
    num_kept: int = 0
    """Responses with labels that are not set aside."""
    num_labels: int = 0
    """Labels of the responses that were kept."""
    sum_of_labels: float = 0
    """Of hard labels, how many are positive."""
    num_rollouts: int = 0
    generated_tokens: int = 0
    """By policy, completer and judge."""

    @property
    def num_tokens(self) -> int:
        """Tokens that all engines generated."""
        return self.generated_tokens

    @property
    def retention(self) -> float | None:
        """Share of the distinct responses that were kept; None if there is none."""
        return self.num_kept / self.num_distinct if self.num_distinct else None

    @property
    def balance(self) -> float | None:
        """Mean label of the responses that were kept; None if there is none."""
        return self.sum_of_labels / self.num_labels if self.num_labels else None

    def add(self, record: Mapping[str, object]) -> LabelTotals:
        """These totals and one more record."""
        values = cast("Mapping[str, Any]", record)
        usage = cast("Mapping[str, Mapping[str, int]]", record["usage"])
        return LabelTotals(
            num_problems=self.num_problems + 1,
            num_failed=self.num_failed + (record["error"] is not None),
            num_responses=self.num_responses + values["num_responses"],
            num_distinct=self.num_distinct + values["num_distinct"],
            num_kept=self.num_kept + values["num_kept"],
            num_labels=self.num_labels + values["num_labels"],
            sum_of_labels=self.sum_of_labels + values["sum_of_labels"],
            num_rollouts=self.num_rollouts + values["num_rollouts"],
            generated_tokens=self.generated_tokens
            + sum(part["generated_tokens"] for part in usage.values()),
        )

    def __str__(self) -> str:
        parts = [f"kept {_share(self.retention)}", f"labels {_share(self.balance)} positive"]
        if self.num_failed:
            parts.append(f"{self.num_failed} failed")
        return ", ".join(parts)


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"
