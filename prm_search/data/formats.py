"""The formats of labeled solutions, by name; reading and writing files of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from prm_search.data import math_shepherd, processbench, stepwise
from prm_search.data.files import Row, read_file
from prm_search.data.loaded import SetAside
from prm_search.data.prm800k import Prm800k
from prm_search.data.stepwise import StepwiseRow
from prm_search.data.tables import check_suffix, write_table
from prm_search.errors import DataError

NumberedSolution: TypeAlias = tuple[int, StepwiseRow]


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelFormat:
    """How labeled solutions stand in the rows of a file."""

    read: Callable[[Row], Sequence[StepwiseRow]]
    """The labeled solutions in a row. Raises DataError."""
    write: Callable[[StepwiseRow], Row] | None
    """The row of a labeled solution. Raises DataError. None if files are only read."""
    columns: Mapping[str, str] = field(default_factory=dict[str, str])
    """The columns that are written, and their types in Parquet."""


def prm800k_format(settings: Prm800k) -> LabelFormat:
    """The format of PRM800K, read in this way."""
    return LabelFormat(read=settings.from_row, write=None)


FORMATS: Mapping[str, LabelFormat] = {
    "trl": LabelFormat(
        read=lambda row: (stepwise.from_row(row),),
        write=stepwise.to_row,
        columns=stepwise.COLUMNS,
    ),
    "processbench": LabelFormat(
        read=lambda row: (processbench.from_row(row),),
        write=processbench.to_row,
        columns=processbench.COLUMNS,
    ),
    "math_shepherd": LabelFormat(
        read=lambda row: (math_shepherd.from_row(row),),
        write=math_shepherd.to_row,
        columns=math_shepherd.COLUMNS,
    ),
    "prm800k": prm800k_format(Prm800k()),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Conversion:
    """What became of the rows of a file."""

    num_written: int
    set_aside: tuple[SetAside, ...]
    """Rows that cannot be read, or that the other format cannot hold."""


def read_solutions(path: Path, source: LabelFormat) -> Iterator[NumberedSolution | SetAside]:
    """The labeled solutions in a file, each with the number of its row.

    A row that cannot be used gives a SetAside in its place. A solution without an id is named
    after the file and its row.

    Raises:
        DataError: if the file is missing, of an unknown kind or broken as a whole.
    """
    for item in read_file(str(path)):
        if isinstance(item, SetAside):
            yield item
            continue
        number, row = item
        try:
            solutions = source.read(row)
        except DataError as error:
            yield SetAside(file=str(path), row=number, reason=str(error))
            continue
        for place, solution in enumerate(solutions):
            name = f"{path.stem}-{number}" + (f"-{place}" if place else "")
            yield number, replace(solution, id=solution.id or name)


def convert(
    source_path: Path,
    target_path: Path,
    *,
    source: LabelFormat,
    target: LabelFormat,
    all_labels: bool = False,
    objection: Callable[[StepwiseRow], str | None] = lambda solution: None,
) -> Conversion:
    """Write the labeled solutions of a file in another format.

    Args:
        source_path: the file to read; its suffix says of which kind it is.
        target_path: the file to write, likewise. An old one is replaced.
        source: format to read.
        target: format to write; must be one that can be written.
        all_labels: False drops the labels of steps after the first error (the steps are kept).
        objection: says why a solution is to be left out, None if it is not.

    Raises:
        DataError: if a file cannot be read or written, or no row of it can be used.
    """
    if target.write is None:
        raise DataError("this format can be read, but not written")
    check_suffix(target_path)
    set_aside: list[SetAside] = []
    to_row = target.write

    def rows() -> Iterator[Row]:
        num_rows = 0
        for item in read_solutions(source_path, source):
            if isinstance(item, SetAside):
                set_aside.append(item)
                continue
            number, solution = item
            try:
                reason = objection(solution)
                if reason is not None:
                    raise DataError(reason)
                row = to_row(solution if all_labels else solution.until_first_error())
            except DataError as error:
                set_aside.append(SetAside(file=str(source_path), row=number, reason=str(error)))
                continue
            num_rows += 1
            yield row
        if not num_rows:
            first = f"; the first: {set_aside[0]}" if set_aside else ""
            raise DataError(f"{source_path} has no row that can be converted{first}")

    num_written = write_table(target_path, rows(), target.columns)
    return Conversion(num_written=num_written, set_aside=tuple(set_aside))
