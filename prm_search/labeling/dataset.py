"""The data set of a labeling run, finished or not.

records.jsonl --> dataset/train.jsonl, train.parquet   stepwise rows (prm_search.data.stepwise)
                  dataset/removed.jsonl                problems that are in evaluation sets
                  dataset/README.md                    the data set card

Equal records give equal bytes, in whatever order they were finished. Each file is replaced in
one go.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from prm_search.data.files import Row, read_file
from prm_search.data.loaded import SetAside
from prm_search.data.stepwise import COLUMNS, StepwiseRow, to_row
from prm_search.data.tables import write_table
from prm_search.errors import DataError
from prm_search.labeling.card import RunFacts, card
from prm_search.labeling.dataset_counts import DatasetCounts
from prm_search.labeling.decontamination import Decontamination, EvaluationIndex, Match
from prm_search.manifest import MANIFEST, load_config
from prm_search.store import RECORDS, SET_ASIDE, RecordKey

DATASET = "dataset"
ROWS = "train.jsonl"
TABLE = "train.parquet"
REMOVED = "removed.jsonl"
CARD = "README.md"

REMOVED_COLUMNS = {
    "problem_id": "string",
    "prompt": "string",
    "num_rows": "int64",
    "kind": "string",
    "share": "double",
    "file": "string",
    "row": "int64",
    "row_id": "string",
    "column": "string",
    "text": "string",
}
"""The columns of `removed.jsonl`: the problem, and what it was found to be like."""


def write_dataset(
    run_dir: Path, *, decontamination: Decontamination | None = None
) -> DatasetCounts:
    """Write the data set of the records that a run has so far; old files are replaced.

    Args:
        run_dir: of a labeling run; its records may be written at the same time.
        decontamination: which problems are left out; None leaves out none.

    Raises:
        DataError: if there are no records, an evaluation set cannot be read, or a file cannot
            be written.
    """
    decontamination = decontamination or Decontamination()
    index = decontamination.load()
    counts = DatasetCounts()
    removed: list[Row] = []
    folder = run_dir / DATASET
    model = _model(load_config(run_dir) or {})
    rows = _rows(run_dir, counts, index, removed, generator=model)
    write_table(folder / ROWS, map(to_row, rows), COLUMNS)
    write_table(folder / TABLE, _written(folder / ROWS), COLUMNS)
    write_table(folder / REMOVED, removed, REMOVED_COLUMNS)
    text = card(counts, _facts(run_dir), decontamination=decontamination, num_texts=len(index))
    draft = folder / f".{CARD}.draft"
    draft.write_text(text, encoding="utf-8")
    draft.replace(folder / CARD)
    return counts


def rows_of_record(record: Mapping[str, Any], *, generator: str | None) -> list[StepwiseRow]:
    """The rows of the responses to a problem that were kept.

    Args:
        record: of a labeled problem.
        generator: name of the model that wrote the responses.
    """
    return [
        _row(record, response, generator)
        for response in record["responses"]
        if response["rejection"] is None
    ]


def _row(
    record: Mapping[str, Any], response: Mapping[str, Any], generator: str | None
) -> StepwiseRow:
    steps = tuple(step.strip() for step in response["steps"])
    first_error: int | None = response["first_error"]
    end = len(steps) if first_error is None else first_error + 1
    labels = response["labels"][:end]
    return StepwiseRow(
        prompt=record["prompt"],
        completions=steps[:end],
        labels=tuple(step != first_error for step in range(end)),
        soft_labels=tuple(label["value"] for label in labels),
        label_sources=tuple(label["source"] for label in labels),
        num_rollouts=tuple(label["num_rollouts"] for label in labels),
        unlabeled_steps=steps[end:],
        id=response["id"],
        problem_id=record["problem"],
        answer=record["reference"],
        is_answer_correct=response["is_correct"],
        generator=generator,
    )


def _rows(
    run_dir: Path,
    counts: DatasetCounts,
    index: EvaluationIndex,
    removed: list[Row],
    *,
    generator: str | None,
) -> Iterator[StepwiseRow]:
    for record in _records(run_dir):
        rows = rows_of_record(record, generator=generator)
        match = index.find(record["prompt"])
        if match is None:
            counts.add(record, rows)
            yield from rows
        else:
            counts.add_removed(record)
            removed.append(_removed(record, match, num_rows=len(rows)))


def _removed(record: Mapping[str, Any], match: Match, *, num_rows: int) -> Row:
    return {
        "problem_id": record["problem"],
        "prompt": record["prompt"],
        "num_rows": num_rows,
        "kind": str(match.kind),
        "share": round(match.share, 4),
        "file": match.found.file,
        "row": match.found.row,
        "row_id": match.found.row_id,
        "column": match.found.column,
        "text": match.found.text,
    }


def _records(run_dir: Path) -> Iterator[Mapping[str, Any]]:
    """The records, sorted by key, so that the order of finishing does not matter."""
    path = run_dir / RECORDS
    places: dict[RecordKey, tuple[int, int]] = {}
    try:
        with path.open("rb") as file:
            offset = 0
            for line in file:
                if not line.endswith(b"\n"):
                    break  # it is being written, or its writer was killed
                places[RecordKey.of(json.loads(line))] = (offset, len(line))
                offset += len(line)
            for key in sorted(places):
                offset, length = places[key]
                file.seek(offset)
                yield json.loads(file.read(length))
    except FileNotFoundError as error:
        raise DataError(f"{run_dir} is no run: it has no {RECORDS}") from error
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{path} cannot be read: {error!r}") from error


def _written(path: Path) -> Iterator[Row]:
    for item in read_file(str(path)):
        if isinstance(item, SetAside):
            raise DataError(str(item))
        yield item[1]


def _facts(run_dir: Path) -> RunFacts:
    path = run_dir / MANIFEST
    manifest: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    versions: dict[str, list[str]] = {}
    for session in manifest.get("sessions", []):
        for name, version in session["versions"].items():
            if version not in versions.setdefault(name, []):
                versions[name].append(version)
    rows = run_dir / SET_ASIDE
    return RunFacts(
        config=load_config(run_dir) or {},
        seed=manifest.get("seed"),
        config_hash=manifest.get("config_hash"),
        versions=versions,
        num_bad_rows=len(rows.read_text().splitlines()) if rows.exists() else 0,
    )


def _model(config: Mapping[str, object]) -> str | None:
    """The name of the policy's model; of a folder, only its own name."""
    policy = config.get("policy")
    if not isinstance(policy, dict):
        return None
    model = cast("dict[str, object]", policy).get("model")
    if not isinstance(model, str):
        return None
    return Path(model).name if Path(model).expanduser().is_dir() else model
