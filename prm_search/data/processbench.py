"""ProcessBench rows (arXiv 2412.06559): a solution and the index of its first wrong step.

    {"id", "generator", "problem", "steps", "final_answer_correct", "label"}

`label` is 0-based, and -1 if no step is wrong. Later steps are not labeled.
"""

from __future__ import annotations

from prm_search.data.columns import (
    optional_flag_of,
    optional_text_of,
    text_of,
    texts_of,
    whole_number_of,
)
from prm_search.data.files import Row
from prm_search.data.stepwise import StepwiseRow
from prm_search.errors import DataError

COLUMNS = {
    "id": "string",
    "generator": "string",
    "problem": "string",
    "steps": "list<string>",
    "final_answer_correct": "bool",
    "label": "int64",
}
"""The columns of a file, and their types in Parquet."""

NO_ERROR = -1


def from_row(row: Row) -> StepwiseRow:
    """The labeled solution in a row.

    Raises:
        DataError: if a column is missing or has a value that it must not have.
    """
    steps = texts_of(row, "steps")
    if not steps:
        raise DataError("'steps' is empty")
    label = whole_number_of(row, "label")
    if not NO_ERROR <= label < len(steps):
        raise DataError(f"'label' is {label}, but there are {len(steps)} steps")
    num_labeled = len(steps) if label == NO_ERROR else label + 1
    return StepwiseRow(
        prompt=text_of(row, "problem"),
        completions=steps[:num_labeled],
        labels=tuple(index != label for index in range(num_labeled)),
        label_sources=("human",) * num_labeled,
        unlabeled_steps=steps[num_labeled:],
        id=optional_text_of(row, "id"),
        is_answer_correct=optional_flag_of(row, "final_answer_correct"),
        generator=optional_text_of(row, "generator"),
    )


def to_row(row: StepwiseRow) -> Row:
    """The row of a labeled solution. What is not known is null.

    Raises:
        DataError: if the labels end without an error before the solution does.
    """
    if row.first_error is None and row.unlabeled_steps:
        raise DataError(
            f"the last {len(row.unlabeled_steps)} of {len(row.steps)} steps have no label, so it "
            "is not known whether a step is wrong"
        )
    return {
        "id": row.id,
        "generator": row.generator,
        "problem": row.prompt,
        "steps": list(row.steps),
        "final_answer_correct": row.is_answer_correct,
        "label": NO_ERROR if row.first_error is None else row.first_error,
    }
