"""Read values out of a row, and say clearly what is wrong with it."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable

from prm_search.data.files import Row
from prm_search.errors import DataError


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
