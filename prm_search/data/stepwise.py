"""Labeled solutions: what every format of step labels is read into and written from.

A row has the columns of TRL's stepwise supervision (`prompt`, `completions`, `labels`) and some
more. `labels` must be truth values there, so a step without a label cannot stand among
`completions`: it stands in `unlabeled_steps`. A trainer that knows the three columns alone is
then right, and no step is lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from prm_search.data.columns import (
    flags_of,
    has,
    optional_flag_of,
    optional_text_of,
    shares_of,
    text_of,
    texts_of,
    whole_number_of,
    whole_numbers_of,
)
from prm_search.data.files import Row, read_file
from prm_search.data.loaded import SetAside
from prm_search.data.tables import write_table
from prm_search.errors import DataError

COLUMNS = {
    "id": "string",
    "problem_id": "string",
    "prompt": "string",
    "completions": "list<string>",
    "labels": "list<bool>",
    "soft_labels": "list<double>",
    "label_sources": "list<string>",
    "num_rollouts": "list<int64>",
    "first_error": "int64",
    "unlabeled_steps": "list<string>",
    "answer": "string",
    "is_answer_correct": "bool",
    "generator": "string",
    "task": "string",
}
"""The columns of a file, and their types in Parquet."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StepwiseRow:
    """A solution with a label for each step, or for each of its first steps."""

    prompt: str
    completions: tuple[str, ...]
    """[num_labeled_steps] texts of the steps that have a label, without separators."""
    labels: tuple[bool, ...]
    """[num_labeled_steps], True for a right step."""
    soft_labels: tuple[float | None, ...] = ()
    """[num_labeled_steps], each in [0, 1] or None; or empty. The values behind the labels."""
    label_sources: tuple[str, ...] = ()
    """[num_labeled_steps], or empty. Who gave the labels: "monte_carlo", "human", …"""
    num_rollouts: tuple[int, ...] = ()
    """[num_labeled_steps], or empty. On how many rollouts each label rests."""
    unlabeled_steps: tuple[str, ...] = ()
    """Steps after the labeled ones: those after the first error, as a rule."""
    id: str | None = None
    """Unique within a data set."""
    problem_id: str | None = None
    answer: str | None = None
    """Reference answer of the problem."""
    is_answer_correct: bool | None = None
    """Whether the solution's own answer is right, where that is known."""
    generator: str | None = None
    """The model that wrote the solution."""
    task: str | None = None
    """The data set that the problem is from."""

    def __post_init__(self) -> None:
        if not self.completions or any(not step.strip() for step in self.steps):
            raise ValueError("completions must be steps with content")
        for name in ("labels", "soft_labels", "label_sources", "num_rollouts"):
            count = len(getattr(self, name))
            if count != len(self.completions) and (count or name == "labels"):
                raise ValueError(f"{count} {name} for {len(self.completions)} steps")
        if any(value is not None and not 0 <= value <= 1 for value in self.soft_labels):
            raise ValueError(f"soft_labels must be in [0, 1] or null, not {self.soft_labels}")

    @property
    def first_error(self) -> int | None:
        """0-based index of the first wrong step, None if every labeled step is right."""
        return next((index for index, right in enumerate(self.labels) if not right), None)

    @property
    def steps(self) -> tuple[str, ...]:
        """All steps, labeled or not."""
        return self.completions + self.unlabeled_steps

    def until_first_error(self) -> StepwiseRow:
        """The same solution, in which no step after the first error has a label.

        What comes after an error is neither right nor wrong in itself (arXiv 2501.07301,
        section 2).
        """
        if self.first_error is None:
            return self
        end = self.first_error + 1
        return replace(
            self,
            completions=self.completions[:end],
            labels=self.labels[:end],
            soft_labels=self.soft_labels[:end],
            label_sources=self.label_sources[:end],
            num_rollouts=self.num_rollouts[:end],
            unlabeled_steps=self.steps[end:],
        )


def from_row(row: Row) -> StepwiseRow:
    """A labeled solution; columns other than the first three may be missing or null.

    Raises:
        DataError: if a column has values that it must not have.
    """
    try:
        stepwise = StepwiseRow(
            prompt=text_of(row, "prompt"),
            completions=texts_of(row, "completions"),
            labels=flags_of(row, "labels"),
            soft_labels=shares_of(row, "soft_labels") if has(row, "soft_labels") else (),
            label_sources=texts_of(row, "label_sources") if has(row, "label_sources") else (),
            num_rollouts=whole_numbers_of(row, "num_rollouts") if has(row, "num_rollouts") else (),
            unlabeled_steps=texts_of(row, "unlabeled_steps") if has(row, "unlabeled_steps") else (),
            id=optional_text_of(row, "id"),
            problem_id=optional_text_of(row, "problem_id"),
            answer=optional_text_of(row, "answer"),
            is_answer_correct=optional_flag_of(row, "is_answer_correct"),
            generator=optional_text_of(row, "generator"),
            task=optional_text_of(row, "task"),
        )
    except ValueError as error:
        raise DataError(str(error)) from error
    told = whole_number_of(row, "first_error") if has(row, "first_error") else None
    if told is not None and told != stepwise.first_error:
        raise DataError(f"'first_error' is {told}, but by 'labels' it is {stepwise.first_error}")
    return stepwise


def to_row(row: StepwiseRow) -> Row:
    """The columns of a labeled solution. What is not known is null."""
    return {
        "id": row.id,
        "problem_id": row.problem_id,
        "prompt": row.prompt,
        "completions": list(row.completions),
        "labels": list(row.labels),
        "soft_labels": list(row.soft_labels) or None,
        "label_sources": list(row.label_sources) or None,
        "num_rollouts": list(row.num_rollouts) or None,
        "first_error": row.first_error,
        "unlabeled_steps": list(row.unlabeled_steps),
        "answer": row.answer,
        "is_answer_correct": row.is_answer_correct,
        "generator": row.generator,
        "task": row.task,
    }


def read_stepwise(path: Path) -> tuple[list[StepwiseRow], list[SetAside]]:
    """Read a JSON Lines, JSON or Parquet file of stepwise rows.

    Returns:
        The rows, and those that were set aside.

    Raises:
        DataError: if the file is missing or has no row that can be used.
    """
    rows: list[StepwiseRow] = []
    set_aside: list[SetAside] = []
    for item in read_file(str(path)):
        if isinstance(item, SetAside):
            set_aside.append(item)
            continue
        number, row = item
        try:
            rows.append(from_row(row))
        except DataError as error:
            set_aside.append(SetAside(file=str(path), row=number, reason=str(error)))
    if not rows:
        first = f"; the first: {set_aside[0]}" if set_aside else ""
        raise DataError(f"{path} has no usable row{first}")
    return rows, set_aside


def write_stepwise(path: Path, rows: Iterable[StepwiseRow]) -> int:
    """Write a JSON Lines, JSON or Parquet file of rows, and return how many."""
    return write_table(path, map(to_row, rows), COLUMNS)
