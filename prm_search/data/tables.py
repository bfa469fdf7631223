"""Write rows to JSON Lines, JSON and Parquet files.

A file appears whole or not at all, and equal rows give equal bytes.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from prm_search.data.files import SUFFIXES, Row
from prm_search.errors import DataError

_ROWS_AT_ONCE = 8192
"""Rows of a Parquet row group."""


def write_table(path: Path, rows: Iterable[Row], columns: Mapping[str, str]) -> int:
    """Write rows to a file, whose suffix says of which kind, and return how many there are.

    Args:
        path: its folder is made if it does not exist; an old file is replaced.
        rows: each with exactly these columns.
        columns: name and type, such as "string", "int64" or "list<bool>".

    Raises:
        DataError: if the kind of file is unknown, it cannot be written, or a row does not fit.
    """
    write = _writer(path)
    draft = path.with_name(f".{path.name}.draft")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        num_rows = write(draft, rows, columns)
        draft.replace(path)
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        draft.unlink(missing_ok=True)
    return num_rows


def check_suffix(path: Path) -> None:
    """Refuse a file of a kind that cannot be written.

    Raises:
        DataError: naming the kinds that can.
    """
    _writer(path)


_Writer = Callable[[Path, Iterable[Row], Mapping[str, str]], int]


def _writer(path: Path) -> _Writer:
    match path.suffix.lower():
        case ".jsonl" | ".ndjson":
            return _write_json_lines
        case ".json":
            return _write_json
        case ".parquet":
            return _write_parquet
        case suffix:
            raise DataError(
                f"{path}: files of kind {suffix!r} cannot be written; use one of "
                f"{', '.join(SUFFIXES)}"
            )


def _write_json_lines(path: Path, rows: Iterable[Row], columns: Mapping[str, str]) -> int:
    num_rows = 0
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(f"{_line(row, columns)}\n")
            num_rows += 1
    return num_rows


def _write_json(path: Path, rows: Iterable[Row], columns: Mapping[str, str]) -> int:
    num_rows = 0
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(("," if num_rows else "[") + f"\n{_line(row, columns)}")
            num_rows += 1
        file.write("\n]\n" if num_rows else "[]\n")
    return num_rows


def _write_parquet(path: Path, rows: Iterable[Row], columns: Mapping[str, str]) -> int:
    try:
        pyarrow: Any = import_module("pyarrow")
        parquet: Any = import_module("pyarrow.parquet")
    except ImportError as error:
        raise DataError(
            f"{path}: Parquet files need pyarrow; pip install 'prm-search[data]'"
        ) from error
    schema = pyarrow.schema([(name, _type(pyarrow, kind)) for name, kind in columns.items()])
    num_rows = 0
    try:
        with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
            for batch in _batches(rows):
                writer.write_table(pyarrow.Table.from_pylist(batch, schema=schema))
                num_rows += len(batch)
    except pyarrow.ArrowException as error:
        raise DataError(f"{path}: rows do not fit their columns: {error}") from error
    return num_rows


def _type(pyarrow: Any, kind: str) -> Any:
    if kind.startswith("list<"):
        return pyarrow.list_(_type(pyarrow, kind.removeprefix("list<").removesuffix(">")))
    return pyarrow.type_for_alias(kind)


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    iterator = iter(rows)
    while batch := list(itertools.islice(iterator, _ROWS_AT_ONCE)):
        yield batch


def _line(row: Row, columns: Mapping[str, str]) -> str:
    if row.keys() != columns.keys():
        raise DataError(f"a row has the columns {sorted(row)}, not {sorted(columns)}")
    return json.dumps(row, ensure_ascii=False, allow_nan=False)
