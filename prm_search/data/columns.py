"""Read values out of a row, and say clearly what is wrong with it."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar, cast

from prm_search.data.files import Row
from prm_search.errors import DataError

Value = TypeVar("Value")


def text_of(row: Row, column: str) -> str:
    """The text in a column that must not be empty.

    Raises:
        DataError: if the column is missing, empty or no text.
    """
    value = _value(row, column)
    if not isinstance(value, str):
        raise DataError(f"{column!r} must be a text, not {_describe(value)}")
    if not value.strip():
        raise DataError(f"{column!r} is empty")
    return _encodable(value, column)


def text_or_number_of(row: Row, column: str) -> str | None:
    """The text or number in a column, as a text; None if there is none.

    Raises:
        DataError: if the column is missing or holds something else.
    """
    value = _value(row, column)
    if value is None:
        return None
    if isinstance(value, str):
        return _encodable(value.strip(), column) or None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise DataError(f"{column!r} must be a text or a number, not {_describe(value)}")
    return str(value)


def has(row: Row, column: str) -> bool:
    """Whether there is something in a column."""
    return row.get(column) is not None


def optional_text_of(row: Row, column: str) -> str | None:
    """The text or number in a column that may be missing, as a text.

    Raises:
        DataError: if it holds something else.
    """
    return text_or_number_of(row, column) if has(row, column) else None


def flag_of(row: Row, column: str) -> bool:
    """The truth value in a column.

    Raises:
        DataError: if the column is missing or holds something else.
    """
    value = _value(row, column)
    if not isinstance(value, bool):
        raise DataError(f"{column!r} must be true or false, not {_describe(value)}")
    return value


def optional_flag_of(row: Row, column: str) -> bool | None:
    """The truth value in a column that may be missing.

    Raises:
        DataError: if it holds something else.
    """
    return flag_of(row, column) if has(row, column) else None


def whole_number_of(row: Row, column: str) -> int:
    """The whole number in a column.

    Raises:
        DataError: if the column is missing or holds something else.
    """
    value = _value(row, column)
    if isinstance(value, bool) or not isinstance(value, int):
        raise DataError(f"{column!r} must be a whole number, not {_describe(value)}")
    return value


def sequence_of(row: Row, column: str) -> Sequence[object]:
    """The list in a column.

    Raises:
        DataError: if the column is missing or holds something else.
    """
    value = _value(row, column)
    if not isinstance(value, list):
        raise DataError(f"{column!r} must be a list, not {_describe(value)}")
    return cast("list[object]", value)


def texts_of(row: Row, column: str) -> tuple[str, ...]:
    """The list of texts with content in a column.

    Raises:
        DataError: if the column is missing or holds something else.
    """
    return _each(row, column, text_of)


def flags_of(row: Row, column: str) -> tuple[bool, ...]:
    """The list of truth values in a column.

    Raises:
        DataError: if the column is missing or holds something else.
    """
    return _each(row, column, flag_of)


def whole_numbers_of(row: Row, column: str) -> tuple[int, ...]:
    """The list of whole numbers in a column.

    Raises:
        DataError: if the column is missing or holds something else.
    """
    return _each(row, column, whole_number_of)


def shares_of(row: Row, column: str) -> tuple[float | None, ...]:
    """The list of numbers in [0, 1] and nulls in a column.

    Raises:
        DataError: if the column is missing or holds something else.
    """
    return _each(row, column, _share_of)


def others_of(row: Row, columns: Iterable[str | None]) -> Row:
    """The row without some of its columns."""
    dropped = set(columns)
    return {name: value for name, value in row.items() if name not in dropped}


def missing_column(column: str, columns: Iterable[str]) -> str:
    """The message for a column that does not exist."""
    names = sorted(columns)
    near = difflib.get_close_matches(column, names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"there is no column {column!r}; the columns are {', '.join(names) or 'none'}{hint}"


def _each(row: Row, column: str, read: Callable[[Row, str], Value]) -> tuple[Value, ...]:
    names = [f"{column}[{index}]" for index, _ in enumerate(sequence_of(row, column))]
    values = dict(zip(names, sequence_of(row, column), strict=True))
    return tuple(read(values, name) for name in names)


def _share_of(row: Row, column: str) -> float | None:
    value = row[column]
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise DataError(f"{column!r} must be in [0, 1] or null, not {_describe(value)}")
    return float(value)


def _value(row: Row, column: str) -> object:
    if column not in row:
        raise DataError(missing_column(column, row))
    return row[column]


def _describe(value: object) -> str:
    return "null" if value is None else f"{type(value).__name__} {value!r:.60}"


def _encodable(text: str, column: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{column!r} holds half a character at position {error.start}") from error
    return text
