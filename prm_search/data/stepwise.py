"""TRL stepwise rows: {"prompt": str, "completions": [step], "labels": [bool]}, as JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from prm_search.errors import DataError


@dataclass(frozen=True, kw_only=True, slots=True)
class StepwiseRow:
    """A solution with a label for each step."""

    prompt: str
    completions: tuple[str, ...]
    """[num_steps] contents of the steps, without separators."""
    labels: tuple[bool, ...]
    """[num_steps], True for a right step."""

    def __post_init__(self) -> None:
        if not self.completions or any(not step.strip() for step in self.completions):
            raise ValueError("completions must be steps with content")
        if len(self.labels) != len(self.completions):
            raise ValueError(f"{len(self.labels)} labels for {len(self.completions)} steps")

    @property
    def first_error(self) -> int | None:
        """0-based index of the first wrong step, None if every step is right."""
        return next((index for index, right in enumerate(self.labels) if not right), None)


def read_stepwise(path: Path) -> tuple[list[StepwiseRow], list[str]]:
    """Read a file of stepwise rows.

    Returns:
        The rows, and one line of text for each row that was set aside: file, line and reason.

    Raises:
        DataError: if the file is missing or has no row that can be used.
    """
    rows: list[StepwiseRow] = []
    set_aside: list[str] = []
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(_row(json.loads(line)))
        except (ValueError, KeyError, TypeError) as error:
            reason = f"missing column {error}" if isinstance(error, KeyError) else str(error)
            set_aside.append(f"{path}:{number}: {reason}")
    if not rows:
        first = f"; the first: {set_aside[0]}" if set_aside else ""
        raise DataError(f"{path} has no usable row{first}")
    return rows, set_aside


def write_stepwise(path: Path, rows: Iterable[StepwiseRow]) -> int:
    """Write rows, and return how many."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with path.open("w") as file:
        for row in rows:
            values = {"prompt": row.prompt, "completions": row.completions, "labels": row.labels}
            file.write(json.dumps(values, ensure_ascii=False) + "\n")
            count += 1
    return count


def _row(values: object) -> StepwiseRow:
    if not isinstance(values, dict):
        raise TypeError("a row must be a JSON object")
    row = cast("dict[str, object]", values)
    prompt, completions, labels = row["prompt"], row["completions"], row["labels"]
    if not isinstance(prompt, str):
        raise TypeError("prompt must be a text")
    if not isinstance(completions, list) or not isinstance(labels, list):
        raise TypeError("completions and labels must be lists")
    steps, values_of_labels = cast("list[object]", completions), cast("list[object]", labels)
    if not all(isinstance(step, str) for step in steps):
        raise TypeError("every completion must be a text")
    if not all(isinstance(label, bool) for label in values_of_labels):
        raise TypeError("every label must be true or false")
    return StepwiseRow(
        prompt=prompt,
        completions=tuple(cast("list[str]", steps)),
        labels=tuple(cast("list[bool]", values_of_labels)),
    )
