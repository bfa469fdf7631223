"""A run directory as it is read for a report; the run may still be going on."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, cast

from prm_search.budget import Role
from prm_search.errors import StoreError
from prm_search.manifest import MANIFEST, load_config
from prm_search.store import METRICS, RECORDS, RESULTS
from prm_search.tree import SearchTree
from prm_search.types import Metadata, Usage

Json: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What a method made of a problem; the search tree stays on disk."""

    method: str
    problem: str
    seed: int
    prompt: str
    reference: str | None
    answer: str | None
    metadata: Metadata
    is_correct: bool | None
    """None if it is not known."""
    error: str | None
    """Why the search failed, if it did."""
    is_ungradable: bool
    """Whether the grader could not tell."""
    num_first_steps: int
    """Samples drawn from the bare problem: children of the root of the tree."""
    usages: Mapping[Role, Usage]
    session: int
    """How often the run had been resumed."""
    elapsed: float
    """Seconds from the start of the method in this session to the end of this problem."""
    place: tuple[int, int]
    """Offset and length of the record in its file, in bytes."""

    def spent(self, role: Role) -> Usage:
        """What a role spent on this problem; zero if it did nothing."""
        return self.usages.get(role, Usage())

    @property
    def level(self) -> str | None:
        """How hard the problem is, if its data says so."""
        level = self.metadata.get("level")
        return None if level is None else str(level)


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """What is known of a run so far."""

    directory: Path
    records: Path
    """The file that the outcomes were read from."""
    config: Json
    seed: int | None
    sessions: tuple[Json, ...]
    """For each start of the run: `started`, `command`, `git_commit`, `versions`."""
    outcomes: tuple[Outcome, ...]
    """Sorted by problem and seed; methods in the order in which they were run."""
    seconds: Mapping[str, float] = field(default_factory=dict[str, float])
    """Wall time of each method."""
    is_finished: bool

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods in the order in which they were run."""
        return tuple(dict.fromkeys(item.method for item in self.outcomes))

    def of(self, method: str) -> tuple[Outcome, ...]:
        """The outcomes of one method."""
        return tuple(item for item in self.outcomes if item.method == method)

    def tree(self, outcome: Outcome) -> SearchTree | None:
        """The search tree of an outcome; None if the search failed.

        Raises:
            DataError: if the tree cannot be read.
        """
        tree = self.record(outcome)["tree"]
        return None if tree is None else SearchTree.from_json(tree)

    def record(self, outcome: Outcome) -> Json:
        """Everything that was recorded with an outcome."""
        with self.records.open("rb") as file:
            file.seek(outcome.place[0])
            return json.loads(file.read(outcome.place[1]))


def read_run(directory: Path) -> Run:
    """Read a run, finished or not; a record that is just being written is left out.

    Raises:
        StoreError: if there is no such run, or a record cannot be read (file and line named).
    """
    config = load_config(directory)
    records = next(
        (path for name in (RECORDS, RESULTS) if (path := directory / name).exists()), None
    )
    if config is None and records is None:
        raise StoreError(f"{directory} holds no run: neither config.yaml nor {RECORDS} is there")
    path = directory / MANIFEST
    manifest = cast("Json", json.loads(path.read_text()) if path.exists() else {})
    outcomes = list(_outcomes(records)) if records else []
    order = {name: rank for rank, name in enumerate(dict.fromkeys(o.method for o in outcomes))}
    outcomes.sort(key=lambda o: (order[o.method], natural(o.problem), o.seed))
    return Run(
        directory=directory,
        records=records or directory / RECORDS,
        config=config or {},
        seed=manifest.get("seed"),
        sessions=tuple(manifest.get("sessions", ())),
        outcomes=tuple(outcomes),
        seconds=_seconds(directory / METRICS, outcomes),
        is_finished=(directory / RESULTS).exists(),
    )


def natural(text: str) -> list[tuple[int, str]]:
    """A sorting key by which "problem-9" comes before "problem-10"."""
    parts = re.split(r"(\d+)", text)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _outcomes(path: Path) -> Iterator[Outcome]:
    for number, offset, line in _whole_lines(path):
        try:
            yield _outcome(json.loads(line), (offset, len(line)))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreError(
                f"{path}, line {number}: not a record ({error!r}); the file is damaged"
            ) from error


def _outcome(record: Json, place: tuple[int, int]) -> Outcome:
    timing = cast("Json", record.get("timing") or {})
    error = cast("Json | None", record["error"])
    tree = cast("Json", record["tree"] or {"nodes": ()})
    return Outcome(
        method=record["method"],
        problem=record["problem"],
        seed=record["seed"],
        prompt=record["prompt"],
        reference=record["reference"],
        answer=record["answer"],
        metadata=record["metadata"],
        is_correct=record["is_correct"],
        error=None if error is None else f"{error['kind']}: {error['message']}",
        is_ungradable=record["grading_failure"] is not None,
        num_first_steps=sum(node["parent"] == 0 for node in tree["nodes"]),
        usages={Role(role): Usage(**usage) for role, usage in record["usage"].items()},
        session=timing.get("session", 0),
        elapsed=timing.get("elapsed", 0.0),
        place=place,
    )


def _seconds(path: Path, outcomes: list[Outcome]) -> dict[str, float]:
    """Wall time of each method, over all seeds and sessions.

    A killed session leaves no metrics, so the time up to its last record is taken from there.
    """
    longest: dict[tuple[str, int, int], float] = defaultdict(float)
    for item in outcomes:
        key = (item.method, item.seed, item.session)
        longest[key] = max(longest[key], item.elapsed)
    by_records: dict[tuple[str, int], float] = defaultdict(float)
    for (method, seed, _), elapsed in longest.items():
        by_records[method, seed] += elapsed
    by_metrics: dict[tuple[str, int], float] = {}
    for _, _, line in _whole_lines(path) if path.exists() else ():
        row = cast("Json", json.loads(line))
        by_metrics[row["method"], row["seed"]] = row["wall_seconds"]
    totals: dict[str, float] = defaultdict(float)
    for method, seed in by_records:
        totals[method] += max(by_records[method, seed], by_metrics.get((method, seed), 0.0))
    return dict(totals)


def _whole_lines(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """Number, offset and text of each line that has been written to its end."""
    offset = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.endswith(b"\n"):
                yield number, offset, line
            offset += len(line)
