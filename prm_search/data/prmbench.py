"""PRMBench rows (arXiv 2501.03124): solutions into which errors of one kind were written.

    {"idx", "classification", "modified_question", "modified_process", "error_steps",
     "original_question", "original_process", …}

`error_steps` is 1-based. Each row about redundancy also gives its unmodified solution.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from prm_search.data.columns import sequence_of, text_of, whole_numbers_of
from prm_search.data.files import Row
from prm_search.errors import DataError

ORIGINAL = "correct"
"""The category of unmodified solutions."""

CATEGORIES = (
    "redundency",
    "circular",
    "counterfactual",
    "step_contradiction",
    "domain_inconsistency",
    "confidence",
    "missing_condition",
    "deception",
    "multi_solutions",
)
"""As the data spell them, in the order of the paper's table."""

_GIVES_ORIGINAL = "redundency"
_PREFIX = re.compile(r"^(Step\s*\d+\.\s*|\d+\.\s*)", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class PrmBenchRow:
    """A solution, with all its wrong steps."""

    id: str
    """Category and problem; unique but for the few rows that the data have twice."""
    problem_id: str
    """What all that was made of one problem has in common."""
    category: str
    prompt: str
    steps: tuple[str, ...]
    """Without their numbers. A few of them have no content."""
    wrong_steps: tuple[int, ...]
    """0-based. A few of them lie beyond the last step."""


def from_row(row: Row) -> Iterator[PrmBenchRow]:
    """The solutions in a row: the modified one, and for redundancy the unmodified one before it.

    Raises:
        DataError: if a column is missing or has a value that it must not have.
    """
    problem_id, category = text_of(row, "idx"), text_of(row, "classification")
    if category not in CATEGORIES:
        raise DataError(f"'classification' is {category!r}, not one of {', '.join(CATEGORIES)}")
    if category == _GIVES_ORIGINAL:
        yield PrmBenchRow(
            id=f"{ORIGINAL}_{problem_id}",
            problem_id=problem_id,
            category=ORIGINAL,
            prompt=text_of(row, "original_question"),
            steps=_steps(row, "original_process"),
            wrong_steps=(),
        )
    numbers = whole_numbers_of(row, "error_steps")
    if any(number < 1 for number in numbers):
        raise DataError(f"'error_steps' counts from 1, but is {list(numbers)}")
    yield PrmBenchRow(
        id=f"{category}_{problem_id}",
        problem_id=problem_id,
        category=category,
        prompt=text_of(row, "modified_question"),
        steps=_steps(row, "modified_process"),
        wrong_steps=tuple(sorted(number - 1 for number in numbers)),
    )


def without_number(step: str) -> str:
    """A step without "3." or "Step 3." before it, which some categories have and others have not.

    A step that is nothing but its number keeps it.
    """
    text = step.strip()
    return _PREFIX.sub("", text) or text


def _steps(row: Row, column: str) -> tuple[str, ...]:
    steps = sequence_of(row, column)
    if not steps:
        raise DataError(f"{column!r} is empty")
    return tuple(without_number(_text(step, column)) for step in steps)


def _text(step: object, column: str) -> str:
    if not isinstance(step, str):
        raise DataError(f"{column!r} must be a list of texts, not of {type(step).__name__}")
    return step
