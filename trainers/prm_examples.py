"""From labeled solutions in files to what a PRM learns from."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from prm_search.data import stepwise
from prm_search.data.files import Row
from prm_search.data.formats import FORMATS, LabelFormat, read_solutions
from prm_search.data.loaded import SetAside
from prm_search.data.stepwise import StepwiseRow
from prm_search.errors import DataError, EmptyStepError
from prm_search.prms.family import PrmFamily
from prm_search.prms.rendering import renderer_of
from trainers.packing import Example
from trainers.prm_settings import LabelFiles, Loss


@dataclass(frozen=True, kw_only=True, slots=True)
class LabeledSolution:
    """A labeled solution and where it stands."""

    file: str
    number: int
    """1-based row of the file."""
    row: StepwiseRow


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What a set of labeled solutions holds; for the model card."""

    num_solutions: int
    num_set_aside: int
    num_tokens: int
    num_steps: int
    """Steps that are learned from."""
    num_wrong: int
    """Those of them that are labeled wrong."""
    sources: dict[str, int]
    """Steps by the source of their label."""


def read_labels(files: LabelFiles, loss: Loss) -> tuple[list[LabeledSolution], list[SetAside]]:
    """Read labeled solutions.

    Returns:
        The solutions, and the rows that were set aside.

    Raises:
        DataError: if there is none; naming file and line, if a row cannot be used.
    """
    solutions: list[LabeledSolution] = []
    set_aside: list[SetAside] = []
    source = _format(files.format, loss)
    for path in _paths(files.path):
        for item in read_solutions(path, source):
            if isinstance(item, SetAside):
                if not files.skip_unusable:
                    raise DataError(f"{item} (data.skip_unusable=true leaves such rows out)")
                set_aside.append(item)
                continue
            number, row = item
            solutions.append(LabeledSolution(file=str(path), number=number, row=row))
            if len(solutions) == files.limit:
                return solutions, set_aside
    if not solutions:
        raise DataError(f"{files.path} has no labeled solution that can be used")
    return solutions, set_aside


def encode(
    row: StepwiseRow,
    tokenizer: PreTrainedTokenizerBase,
    family: PrmFamily,
    system_prompt: str | None = None,
) -> Example:
    """Tokenise a solution exactly as engines do, to be scored at every step.

    Raises:
        EmptyStepError: if a step has no content.
    """
    render = renderer_of(family, tokenizer, system_prompt=system_prompt)
    (solution,) = render(row.prompt, row.steps)
    return Example(token_ids=solution.token_ids, positions=solution.positions)


def with_targets(example: Example, values: Sequence[float | None]) -> Example | None:
    """What is learned from a solution: it ends at its last step that is learned from.

    Args:
        example: scored at every step.
        values: P(right) of its first steps; None for a step that nothing is learned from.

    Returns:
        None if nothing is learned from it.
    """
    learned = [
        (position, value)
        for position, value in zip(example.positions, values, strict=False)
        if value is not None
    ]
    if not learned:
        return None
    return Example(
        token_ids=example.token_ids[: learned[-1][0] + 1],
        positions=tuple(position for position, _ in learned),
        values=tuple(value for _, value in learned),
    )


def target_values(
    solution: LabeledSolution, loss: Loss, sources: Sequence[str] = ()
) -> list[float | None]:
    """P(right) of each step up to and including the first wrong one.

    Steps whose label is from another source have None, and so have steps without a soft label
    where soft labels are learned.

    Raises:
        DataError: naming file and line, if the row lacks what is asked for.
    """
    row = solution.row.until_first_error()
    place = f"{solution.file}:{solution.number}"
    if loss is Loss.cross_entropy:
        values: list[float | None] = [float(label) for label in row.labels]
    elif row.soft_labels:
        values = list(row.soft_labels)
    else:
        raise DataError(f"{place}: no soft_labels, which objective.loss={loss} learns")
    if not sources:
        return values
    if not row.label_sources:
        raise DataError(f"{place}: no label_sources, by which data.sources chooses")
    return [
        value if source in sources else None
        for value, source in zip(values, row.label_sources, strict=True)
    ]


def training_examples(
    files: LabelFiles,
    *,
    loss: Loss,
    tokenizer: PreTrainedTokenizerBase,
    family: PrmFamily,
    system_prompt: str | None,
    max_tokens: int,
) -> tuple[list[Example], Facts]:
    """Everything that is learned from.

    Args:
        max_tokens: longer solutions are left out; `files` may say less.

    Raises:
        DataError: naming file and line, if a row cannot be used.
    """
    solutions, set_aside = read_labels(files, loss)
    examples: list[Example] = []
    by_source: Counter[str] = Counter()
    for solution in solutions:
        values = target_values(solution, loss, files.sources)
        example = with_targets(_encoded(solution, tokenizer, family, system_prompt), values)
        if example is None or len(example.token_ids) > min(
            max_tokens, files.max_tokens or max_tokens
        ):
            continue
        examples.append(example)
        sources = solution.row.label_sources or ("unknown",) * len(values)
        by_source.update(
            source for source, value in zip(sources, values, strict=False) if value is not None
        )
    if not examples:
        raise DataError(
            f"{files.path}: none of {len(solutions)} solutions has a label to learn from and at "
            f"most {min(max_tokens, files.max_tokens or max_tokens)} tokens"
        )
    values_of_all = [value for example in examples for value in example.values]
    return examples, Facts(
        num_solutions=len(examples),
        num_set_aside=len(set_aside) + len(solutions) - len(examples),
        num_tokens=sum(len(example.token_ids) for example in examples),
        num_steps=len(values_of_all),
        num_wrong=sum(
            value < 0.5 if loss is Loss.cross_entropy else value == 0 for value in values_of_all
        ),
        sources=dict(by_source.most_common()),
    )


def held_out_examples(
    files: LabelFiles,
    *,
    tokenizer: PreTrainedTokenizerBase,
    family: PrmFamily,
    system_prompt: str | None,
    max_tokens: int,
) -> tuple[list[Example], list[int | None]]:
    """Solutions to be scored at every step, and their first errors (0-based).

    Raises:
        DataError: naming file and line, if a row cannot be used or is too long.
    """
    solutions, _ = read_labels(files, Loss.cross_entropy)
    examples: list[Example] = []
    for solution in solutions:
        example = _encoded(solution, tokenizer, family, system_prompt)
        if len(example.token_ids) > max_tokens:
            raise DataError(
                f"{solution.file}:{solution.number}: {len(example.token_ids)} tokens, but the "
                f"model takes {max_tokens} at most"
            )
        examples.append(example)
    return examples, [solution.row.first_error for solution in solutions]


def _encoded(
    solution: LabeledSolution,
    tokenizer: PreTrainedTokenizerBase,
    family: PrmFamily,
    system_prompt: str | None,
) -> Example:
    try:
        return encode(solution.row, tokenizer, family, system_prompt)
    except EmptyStepError as error:
        raise DataError(f"{solution.file}:{solution.number}: {error}") from error


def _paths(pattern: str | None) -> Iterator[Path]:
    if pattern is None:
        raise DataError("data.path is not set; give a file of labeled solutions")
    found = sorted(glob.glob(pattern)) if glob.has_magic(pattern) else [pattern]
    if not found:
        raise DataError(f"no file matches {pattern}")
    yield from map(Path, found)


def _format(name: str, loss: Loss) -> LabelFormat:
    """A format, in which TRL's `labels` may be the soft labels themselves."""
    if name != "trl":
        return FORMATS[name]
    return LabelFormat(read=lambda row: (_from_stepwise(row, loss),), write=None)


def _from_stepwise(row: Row, loss: Loss) -> StepwiseRow:
    labels = row.get("labels")
    if not (isinstance(labels, list) and any(isinstance(label, float) for label in labels)):
        return stepwise.from_row(row)
    if loss is Loss.cross_entropy:
        raise DataError(
            f"'labels' holds soft labels ({labels!r:.60}), but objective.loss=cross_entropy learns "
            "hard ones; take mse or soft_cross_entropy"
        )
    values = cast("list[object]", labels)
    hard = [isinstance(value, float | int) and value > 0 for value in values]
    return stepwise.from_row({**row, "labels": hard, "soft_labels": values})
