r"""Math-Shepherd rows (arXiv 2312.08935): problem and steps in one text, with a tag at each label.

    {"input": "How many? Step 1: Three. ки\nStep 2: So 4. ки", "label": "…", "task": "GSM8K"}

`label` is the same text with + or - in place of each tag. Steps without a label stand at the end
without a tag, so that nothing is learned there.
"""

from __future__ import annotations

import re

from prm_search.data.columns import optional_text_of, text_of
from prm_search.data.files import Row
from prm_search.data.stepwise import StepwiseRow
from prm_search.errors import DataError

COLUMNS = {"input": "string", "label": "string", "task": "string"}
"""The columns of a file, and their types in Parquet."""

TAG = "ки"
_SIGNS = {"+": True, "-": False}
_FIRST_STEP = re.compile(r"\s*\bstep 1: ?", re.IGNORECASE)
_STEP = re.compile(r"\s*\bstep \d+: ?", re.IGNORECASE)


def from_row(row: Row) -> StepwiseRow:
    """The labeled solution in a row. The heads "Step 1:" are not part of the steps.

    Raises:
        DataError: if a column is missing or the texts have another form.
    """
    *tagged, rest = text_of(row, "input").split(TAG)
    if not tagged:
        raise DataError(f"'input' has no tag {TAG!r}")
    labels = _labels([*tagged, rest], text_of(row, "label"))
    head = _FIRST_STEP.search(tagged[0])
    if head is None:
        raise DataError("'input' has no 'Step 1:' before its first tag")
    prompt = tagged[0][: head.start()]
    first = tagged[0][head.end() :]
    steps = [first, *(_without_head(text) for text in tagged[1:])]
    try:
        return StepwiseRow(
            prompt=text_of({"problem": prompt}, "problem"),
            completions=tuple(text.removesuffix(" ") for text in steps),
            labels=labels,
            label_sources=("monte_carlo",) * len(labels),
            unlabeled_steps=_untagged(rest, num_before=len(steps)),
            task=optional_text_of(row, "task"),
        )
    except ValueError as error:
        raise DataError(str(error)) from error


def to_row(row: StepwiseRow) -> Row:
    """The row of a labeled solution.

    Raises:
        DataError: if its texts hold what has a meaning in this format, so that they would be
            read in another way.
    """
    heads = [f"Step {number}: {step}" for number, step in enumerate(row.steps, start=1)]
    num_labeled = len(row.labels)

    def text(tags: list[str]) -> str:
        lines = [f"{head} {tag}" for head, tag in zip(heads[:num_labeled], tags, strict=True)]
        return f"{row.prompt} " + "\n".join([*lines, *heads[num_labeled:]])

    written: Row = {
        "input": text([TAG] * num_labeled),
        "label": text(["+" if label else "-" for label in row.labels]),
        "task": row.task,
    }
    _check_readable(row, written)
    return written


def _labels(texts: list[str], labeled: str) -> tuple[bool, ...]:
    """What stands in the labeled text between the texts around the tags."""
    labels: list[bool] = []
    place = 0
    for number, text in enumerate(texts, start=1):
        if not labeled.startswith(text, place):
            raise DataError(f"'label' is not the text of 'input' at step {number}")
        place += len(text)
        if number == len(texts):
            break
        sign = labeled[place : place + 1]
        if sign not in _SIGNS or not sign:
            raise DataError(f"'label' has {sign!r} instead of + or - at step {number}")
        labels.append(_SIGNS[sign])
        place += 1
    if labeled[place:].strip():
        raise DataError("'label' is longer than 'input'")
    return tuple(labels)


def _without_head(text: str) -> str:
    head = _STEP.match(text)
    return text[head.end() :] if head else text.removeprefix("\n")


def _untagged(text: str, *, num_before: int) -> tuple[str, ...]:
    """The steps behind the last tag, which only their heads tell apart."""
    steps: list[str] = []
    rest = text.removeprefix("\n").rstrip("\n")
    while rest.strip():
        number = num_before + len(steps) + 1
        _, found, rest = f"\n{rest}".partition(f"\nStep {number}: ")
        if not found:
            raise DataError(f"'input' has text behind its last tag that is no 'Step {number}:'")
        step, found, after = rest.partition(f"\nStep {number + 1}: ")
        steps.append(step)
        rest = f"Step {number + 1}: {after}" if found else ""
    return tuple(steps)


def _check_readable(row: StepwiseRow, written: Row) -> None:
    expected = (row.prompt, row.completions, row.labels, row.unlabeled_steps)
    try:
        read = from_row(written)
    except DataError as error:
        raise DataError(f"the format cannot hold it: {error}") from error
    for name, value in zip(
        ("prompt", "completions", "labels", "unlabeled_steps"), expected, strict=True
    ):
        if getattr(read, name) != value:
            raise DataError(
                f"the format cannot hold it: its {name} would be read as "
                f"{getattr(read, name)!r:.80}"
            )
