"""What is counted over the records of a labeling run, for the card of its data set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from prm_search.data.stepwise import StepwiseRow
from prm_search.labeling.rejection import Reason

_NOT_COMPLETED = (Reason.UNFINISHED, Reason.NO_REFERENCE_ANSWER)
"""Responses set aside for these reasons are not labeled by any recipe."""


@dataclass(kw_only=True, slots=True)
class DatasetCounts:
    """Sums over records. Responses are counted once each, whatever became of them."""

    num_problems: int = 0
    """Problems that have a record."""
    failed_problems: Counter[str] = field(default_factory=Counter[str])
    """Problems that could not be labeled, by kind of error."""
    num_samples: int = 0
    """Responses that were sampled."""
    num_distinct: int = 0
    """Samples with content that differ from the others of their problem."""
    set_aside: Counter[str] = field(default_factory=Counter[str])
    """Samples that are not in the data set, by reason."""
    num_removed_problems: int = 0
    """Problems that are in an evaluation set."""
    num_rows: int = 0
    num_labeled_problems: int = 0
    """Problems with at least one row."""
    num_right_steps: int = 0
    num_wrong_steps: int = 0
    num_unlabeled_steps: int = 0
    """Steps after the first error."""
    soft_labels: Counter[float] = field(default_factory=Counter[float])
    """Values behind the labels."""
    first_errors: Counter[int | None] = field(default_factory=Counter[int | None])
    """Rows by their first error."""
    answers: Counter[tuple[bool | None, bool]] = field(
        default_factory=Counter[tuple[bool | None, bool]]
    )
    """Rows by (is the answer right, is every step right)."""
    agreement: Counter[tuple[bool, bool]] = field(default_factory=Counter[tuple[bool, bool]])
    """Responses on which both judge and rollouts spoke, by (judge found an error, they agree)."""
    num_critiques: int = 0
    num_unreadable_critiques: int = 0
    outcomes: Counter[str] = field(default_factory=Counter[str])
    """Rollouts by how they ended."""
    usage: dict[str, Counter[str]] = field(default_factory=dict[str, Counter[str]])
    """What each role spent: kind of token -> number."""
    num_rollouts: int = 0
    num_prefixes: int = 0
    """Prefixes that a recipe without any saving would complete: those of all responses that can
    be labeled, without the whole responses, which are their own only sample."""

    def add(self, record: Mapping[str, Any], rows: Sequence[StepwiseRow]) -> None:
        """Count a record and the rows that it gives."""
        self.num_problems += 1
        if record["error"] is not None:
            self.failed_problems[record["error"]["kind"]] += 1
        self.num_samples += record["num_responses"]
        self.num_rollouts += record["num_rollouts"]
        self.set_aside.update(
            item["kind"] for item in record["set_aside"] if item["index"] is not None
        )
        for role, usage in cast("Mapping[str, Mapping[str, int]]", record["usage"]).items():
            self.usage.setdefault(role, Counter()).update(usage)
        self.num_distinct += len(record["responses"])
        for response in record["responses"]:
            self._add_response(response)
        for row in rows:
            self._add_row(row)
        self.num_labeled_problems += bool(rows)

    def add_removed(self, record: Mapping[str, Any]) -> None:
        """Count a record whose problem is in an evaluation set. It gives no rows."""
        self.add(record, ())
        self.num_removed_problems += 1
        kept = sum(response["rejection"] is None for response in record["responses"])
        self.set_aside["decontamination"] += kept

    @property
    def retention(self) -> float | None:
        """Rows for each distinct response; None if there is no response."""
        return self.num_rows / self.num_distinct if self.num_distinct else None

    @property
    def mean_rollout_tokens(self) -> float | None:
        """Tokens of a rollout; None if none was drawn."""
        generated = self.usage.get("completer", Counter())["generated_tokens"]
        return generated / self.num_rollouts if self.num_rollouts else None

    def _add_response(self, response: Mapping[str, Any]) -> None:
        rejection = response["rejection"]
        kind = None if rejection is None else rejection["kind"]
        if kind is not None:
            self.set_aside[kind] += 1
        if kind not in _NOT_COMPLETED:
            self.num_prefixes += len(response["steps"]) - 1
        details = cast("Mapping[str, Mapping[str, Any]]", response["details"])
        judged = details.get("judge", {})
        self.num_critiques += len(judged.get("votes", ())) + judged.get("num_unreadable", 0)
        self.num_unreadable_critiques += judged.get("num_unreadable", 0)
        for source in details.values():
            self.outcomes.update(cast("Mapping[str, int]", source.get("outcomes", {})))
        rollouts = details.get("monte_carlo", {})
        # Rollouts that only refute the judge have no first error of their own.
        if "first_error" in judged and ("first_error" in rollouts or kind == Reason.DISAGREEMENT):
            claimed = judged["first_error"]
            agrees = "first_error" in rollouts and rollouts["first_error"] == claimed
            self.agreement[claimed is not None, agrees] += 1

    def _add_row(self, row: StepwiseRow) -> None:
        self.num_rows += 1
        num_right = sum(row.labels)
        self.num_right_steps += num_right
        self.num_wrong_steps += len(row.labels) - num_right
        self.num_unlabeled_steps += len(row.unlabeled_steps)
        self.soft_labels.update(value for value in row.soft_labels if value is not None)
        self.first_errors[row.first_error] += 1
        self.answers[row.is_answer_correct, row.first_error is None] += 1
