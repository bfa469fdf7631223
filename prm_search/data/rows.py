"""Problems in any JSON Lines, JSON or Parquet file, or data set on the Hub."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from prm_search.data.columns import missing_column, others_of, text_of, text_or_number_of
from prm_search.data.files import NumberedRow, Row, read_file
from prm_search.data.hub import read_hub
from prm_search.data.loaded import Loaded, SetAside
from prm_search.errors import ConfigurationError, DataError
from prm_search.types import Problem


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Problems in named columns. The other columns become the metadata of the problems."""

    path: str | None = None
    """A JSON Lines, JSON or Parquet file."""
    name: str | None = None
    """A data set on the Hugging Face Hub, taken if no path is given."""
    subset: str | None = None
    """Which configuration of the data set to take from the Hub."""
    split: str = "test"
    """Which split to take from the Hub."""
    id_column: str | None = None
    """Column of the unique ids; without it they are made of the file's name and the row."""
    prompt_column: str = "problem"
    """Column of the questions."""
    answer_column: str | None = None
    """Column of the reference answers; without it the problems have none."""
    limit: int | None = None
    """Take at most so many problems."""
    offset: int = 0
    """Skip so many problems first."""
    shuffle_seed: int | None = None
    """Shuffle with this seed before skipping and limiting; without it the order is kept."""
    require_answers: bool = False
    """Refuse problems without a reference answer: they can be searched, but not graded."""

    def __post_init__(self) -> None:
        if self.path is None and self.name is None:
            raise ConfigurationError("data.path and data.name are both empty; set one of them")
        if self.limit is not None and self.limit < 1:
            raise ConfigurationError(f"data.limit is {self.limit}; it must be at least 1")
        if self.offset < 0:
            raise ConfigurationError(f"data.offset is {self.offset}; it must be at least 0")

    def load(self) -> Loaded:
        """Load the problems.

        Raises:
            DataError: if there is nothing to load, no row of it can be used, or a column does
                not exist.
        """
        rows: list[NumberedRow] = []
        set_aside: list[SetAside] = []
        for row in self._read():
            if isinstance(row, SetAside):
                set_aside.append(row)
            else:
                rows.append(row)
        self._check_columns({column for _, row in rows for column in row})
        problems: dict[str, Problem] = {}
        for number, row in rows:
            try:
                problem = self._problem(number, row)
                if problem.id in problems:
                    raise DataError(f"the id {problem.id!r} was already used")
            except DataError as error:
                set_aside.append(SetAside(file=self._source, row=number, reason=str(error)))
            else:
                problems[problem.id] = problem
        set_aside.sort(key=lambda row: row.row)
        if not problems:
            raise DataError(
                f"{self._source}: none of {len(set_aside)} rows can be used; the first: "
                f"{set_aside[0]}"
                if set_aside
                else f"{self._source}: there are no rows"
            )
        return Loaded(problems=self._choose(tuple(problems.values())), set_aside=tuple(set_aside))

    def read_answer(self, text: str) -> str:
        """The reference answer in the text of the answer column.

        Raises:
            DataError: if there is none.
        """
        return text

    @property
    def _source(self) -> str:
        return str(self.path or self.name)

    def _read(self) -> Iterator[NumberedRow | SetAside]:
        if self.path is not None:
            return read_file(self.path)
        assert self.name is not None
        return read_hub(self.name, subset=self.subset, split=self.split)

    def _check_columns(self, columns: Collection[str]) -> None:
        if not columns:
            return
        if self.require_answers and self.answer_column is None:
            raise DataError(
                f"{self._source}: reference answers are needed; set data.answer_column to one of "
                f"the columns {', '.join(sorted(columns))}"
            )
        for setting in ("id_column", "prompt_column", "answer_column"):
            column: str | None = getattr(self, setting)
            if column is not None and column not in columns:
                raise DataError(
                    f"{self._source}: {missing_column(column, columns)} (set data.{setting})"
                )

    def _problem(self, number: int, row: Row) -> Problem:
        problem_id = text_or_number_of(row, self.id_column) if self.id_column else None
        if self.id_column and problem_id is None:
            raise DataError(f"{self.id_column!r} is empty")
        text = text_or_number_of(row, self.answer_column) if self.answer_column else None
        if text is None and self.require_answers:
            raise DataError(f"{self.answer_column!r} is empty; a reference answer is needed")
        return Problem(
            id=problem_id or f"{Path(self.path).stem if self.path else self.split}-{number}",
            prompt=text_of(row, self.prompt_column),
            answer=None if text is None else self.read_answer(text),
            metadata=others_of(row, (self.id_column, self.prompt_column, self.answer_column)),
        )

    def _choose(self, problems: Sequence[Problem]) -> tuple[Problem, ...]:
        order = list(problems)
        if self.shuffle_seed is not None:
            random.Random(self.shuffle_seed).shuffle(order)
        end = None if self.limit is None else self.offset + self.limit
        chosen = tuple(order[self.offset : end])
        if not chosen:
            raise DataError(
                f"{self._source}: data.offset {self.offset} leaves none of {len(order)} problems"
            )
        return chosen
