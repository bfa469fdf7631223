"""Rows of data sets on the Hugging Face Hub."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

from prm_search.data.files import NumberedRow
from prm_search.errors import DataError


def read_hub(name: str, *, subset: str | None, split: str) -> Iterator[NumberedRow]:
    """The rows of a data set, each with its number, counted from 1.

    Args:
        name: "organisation/name" on the Hub, or a local folder in the layout of one.

    Raises:
        DataError: if the library `datasets` is missing or cannot load the data set.
    """
    try:
        datasets: Any = import_module("datasets")
    except ImportError as error:
        raise DataError(
            f"data set {name!r} on the Hub needs the library datasets; "
            "pip install 'prm-search[data]', or download the file and give its path"
        ) from error
    try:
        rows = datasets.load_dataset(name, subset, split=split)
    except (OSError, ValueError, RuntimeError) as error:
        raise DataError(
            f"data set {name!r} (subset {subset!r}, split {split!r}) cannot be loaded from the "
            f"Hub: {error}; check the names and the connection, or download the file and give "
            "its path"
        ) from error
    return enumerate((dict(row) for row in rows), start=1)
