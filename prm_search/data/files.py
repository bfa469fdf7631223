"""Rows of JSON Lines, JSON and Parquet files."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias, cast

from prm_search.data.loaded import SetAside
from prm_search.errors import DataError

Row: TypeAlias = dict[str, object]
NumberedRow: TypeAlias = tuple[int, Row]

SUFFIXES = (".jsonl", ".ndjson", ".json", ".parquet")


def read_file(path: str) -> Iterator[NumberedRow | SetAside]:
    """The rows of a file, each with its number, counted from 1.

    A row that cannot be read gives a SetAside in its place. In JSON Lines files the number is
    that of the line; blank lines are no rows.

    Raises:
        DataError: if the file is missing, of an unknown kind or broken as a whole.
    """
    file = Path(path).expanduser()
    _check_file(file)
    match file.suffix.lower():
        case ".jsonl" | ".ndjson":
            return _read_json_lines(file)
        case ".json":
            return _read_json(file)
        case ".parquet":
            return _read_parquet(file)
        case suffix:
            raise DataError(
                f"{file}: files of kind {suffix!r} cannot be read; use one of {', '.join(SUFFIXES)}"
            )


def _check_file(file: Path) -> None:
    if file.is_file():
        return
    if file.is_dir():
        names = ", ".join(_names(file)[:10]) or "nothing"
        raise DataError(f"{file} is a folder; name a file in it (it holds {names})")
    # The folder itself may be misspelt: name what exists beside the first missing part.
    missing = file
    while not missing.parent.is_dir():
        missing = missing.parent
    names = _names(missing.parent)
    near = difflib.get_close_matches(missing.name, names, n=3, cutoff=0.4) or names[:5]
    raise DataError(
        f"{file} does not exist; the nearest names in {missing.parent} are: "
        f"{', '.join(near) or 'none, the folder is empty'}"
    )


def _names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def _read_json_lines(file: Path) -> Iterator[NumberedRow | SetAside]:
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row: Any = json.loads(line.decode("utf-8-sig"))
            except UnicodeDecodeError as error:
                yield _set_aside(file, number, f"not UTF-8: {error.reason} at byte {error.start}")
            except json.JSONDecodeError as error:
                yield _set_aside(file, number, f"not JSON: {error.msg} at column {error.colno}")
            except (ValueError, RecursionError) as error:  # a huge number, deep nesting
                yield _set_aside(file, number, f"not JSON that can be read: {error}")
            else:
                yield _checked(file, number, row)


def _read_json(file: Path) -> Iterator[NumberedRow | SetAside]:
    try:
        rows: Any = json.loads(file.read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: not UTF-8: {error.reason} at byte {error.start}") from error
    except json.JSONDecodeError as error:
        hint = "; is it JSON Lines? then name it .jsonl" if error.msg == "Extra data" else ""
        raise DataError(
            f"{file}:{error.lineno}: not JSON: {error.msg} at column {error.colno}{hint}"
        ) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file}: not JSON that can be read: {error}") from error
    if not isinstance(rows, list):
        raise DataError(f"{file}: must hold a list of rows, not a {type(rows).__name__}")
    for number, row in enumerate(cast("list[object]", rows), start=1):
        yield _checked(file, number, row)


def _read_parquet(file: Path) -> Iterator[NumberedRow | SetAside]:
    try:
        pyarrow: Any = import_module("pyarrow")
        parquet: Any = import_module("pyarrow.parquet")
    except ImportError as error:
        raise DataError(
            f"{file}: Parquet files need pyarrow; pip install 'prm-search[data]'"
        ) from error
    try:
        rows: list[Row] = parquet.read_table(file).to_pylist()
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise DataError(f"{file}: not a Parquet file that can be read: {error}") from error
    yield from enumerate(rows, start=1)


def _checked(file: Path, number: int, row: object) -> NumberedRow | SetAside:
    if not isinstance(row, dict):
        return _set_aside(file, number, f"must be an object, not a {type(row).__name__}")
    return number, cast("Row", row)


def _set_aside(file: Path, number: int, reason: str) -> SetAside:
    return SetAside(file=str(file), row=number, reason=reason)
