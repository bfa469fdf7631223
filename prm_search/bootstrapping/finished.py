"""The analyses of a run that came to its end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prm_search.bootstrapping.analyst import AnalysedProblem
from prm_search.bootstrapping.bootstrap_records import problem_of_record
from prm_search.bootstrapping.bootstrap_totals import BootstrapTotals
from prm_search.errors import DataError
from prm_search.store import RESULTS


def is_finished(directory: Path) -> bool:
    """Whether the analyses are all there."""
    return (directory / RESULTS).exists()


def read_analyses(directory: Path) -> Iterator[AnalysedProblem]:
    """Problems and the analyses of their steps, in the order of the data; not those that failed.

    Raises:
        DataError: if the run is not finished.
    """
    for record in _records(directory):
        if record["error"] is None:
            yield problem_of_record(record)


def read_totals(directory: Path) -> BootstrapTotals:
    """The sums over all records.

    Raises:
        DataError: if the run is not finished.
    """
    totals = BootstrapTotals()
    for record in _records(directory):
        totals = totals.add(record)
    return totals


def _records(directory: Path) -> Iterator[dict[str, Any]]:
    if not is_finished(directory):
        raise DataError(f"{directory} holds no finished analyses; do stage {directory.name} first")
    with (directory / RESULTS).open() as file:
        yield from map(json.loads, file)
