"""A run is a directory.

| file             | what it holds                                                             |
|------------------|---------------------------------------------------------------------------|
| `config.yaml`    | the resolved configuration                                                |
| `manifest.json`  | hash of the configuration, seed, and for each session: command, versions  |
| `records.jsonl`  | append-only, one line per finished problem, in the order of finishing     |
| `results.jsonl`  | written at the end: the same records in data order and without `timing`,  |
|                  | so that interrupted and undisturbed runs of a deterministic engine are    |
|                  | byte-identical                                                            |
| `metrics.jsonl`  | append-only, totals per method; the last line of a method counts          |
| `set_aside.jsonl`| rows of the data that could not be used, with the reason                  |
| `lock`           | held by the process that writes                                           |

Whatever depends on the clock stands in the field `timing` of a record and nowhere else.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self, TypeAlias, cast

from prm_search.errors import StoreError
from prm_search.manifest import (
    differences,
    load_config,
    write_config,
    write_manifest,
    write_parameters,
)

Record: TypeAlias = Mapping[str, object]

RECORDS = "records.jsonl"
RESULTS = "results.jsonl"
METRICS = "metrics.jsonl"
SET_ASIDE = "set_aside.jsonl"
LOCK = "lock"

_LARGE = ("tree", "candidates", "course", "responses")
"""Fields of a record that are left on disk."""


class RecordKey(NamedTuple):
    """What makes a record unique in a run."""

    method: str
    problem: str
    seed: int

    @classmethod
    def of(cls, record: Record) -> RecordKey:
        """The key of a record.

        Raises:
            KeyError: if a field of the key is absent.
        """
        return cls(str(record["method"]), str(record["problem"]), int(str(record["seed"])))


class RunStore:
    """The records of one run, open for writing by one process.

    Example:
        >>> with RunStore(Path("runs/first"), config={"seed": 0}) as store:  # doctest: +SKIP
        ...     store.append({"method": "beam", "problem": "7", "seed": 0, "is_correct": True})
    """

    def __init__(
        self,
        directory: Path,
        *,
        config: Mapping[str, object] | None = None,
        seed: int = 0,
        command: str = "",
        may_differ: Iterable[str] = (),
    ) -> None:
        """Create a run directory, or open one in order to resume.

        A torn last record (the process was killed while writing) and records of transient
        failures are removed, so that they are done again.

        Args:
            directory: made if it does not exist.
            config: the resolved configuration, of plain values.
            command: how the run was started; shown in the manifest.
            may_differ: dotted names that may have another value when the run is resumed,
                because results do not depend on them.

        Raises:
            StoreError: if the directory cannot be written, is in use, or belongs to another
                configuration.
        """
        self.directory = directory
        self._heads: dict[RecordKey, Record] = {}
        self._places: dict[RecordKey, tuple[int, int]] = {}
        config = config or {}
        with _clear_errors(directory):
            directory.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            self._acquire()
            self._load()
            if self._heads:
                found = differences(load_config(directory) or {}, config, tuple(may_differ))
                if found:
                    raise StoreError(
                        f"{directory} holds a run with another configuration: {'; '.join(found)}. "
                        "Resume it with its own settings, or choose another run_dir"
                    )
            with _clear_errors(directory):
                if not self._heads:
                    write_config(directory, config)
                self.session = write_manifest(directory, config, seed=seed, command=command)
                self._records = _open_for_append(directory / RECORDS)
        except BaseException:
            os.close(self._lock)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the directory."""
        os.close(self._records)
        os.close(self._lock)

    def __contains__(self, key: object) -> bool:
        return key in self._heads

    def __len__(self) -> int:
        return len(self._heads)

    def heads(self, method: str, seed: int) -> Iterator[Record]:
        """The records of a method without their large fields (tree, candidates, …)."""
        for key, head in self._heads.items():
            if key.method == method and key.seed == seed:
                yield head

    def append(self, record: Record) -> None:
        """Add the record of a finished problem. It survives the death of this process.

        Raises:
            StoreError: if it cannot be written, or the problem has a record already.
        """
        key = RecordKey.of(record)
        if key in self._heads:
            raise StoreError(f"{self.directory}: there is already a record of {key}")
        line = _line(record)
        with _clear_errors(self.directory):
            place = os.fstat(self._records).st_size
            _write(self._records, line)
        self._remember(key, record, place, len(line))

    def append_metrics(self, row: Record) -> None:
        """Add a line to `metrics.jsonl`."""
        self._append_to(METRICS, [row])

    def write_parameters(self, parameters: Mapping[str, int | None]) -> None:
        """Note in the manifest how many parameters the model of each role has, where known."""
        with _clear_errors(self.directory):
            write_parameters(self.directory, parameters)

    def write_set_aside(self, rows: Iterable[Record]) -> None:
        """Write the rows of the data that could not be used."""
        self._replace(SET_ASIDE, (_line(row) for row in rows))

    def write_results(self, order: Iterable[RecordKey]) -> Path:
        """Write `results.jsonl`: the records in this order, without their timing.

        Keys without a record are left out.
        """
        path = self.directory / RECORDS

        def lines() -> Iterator[bytes]:
            with path.open("rb") as file:
                for key in order:
                    if key in self._places:
                        offset, length = self._places[key]
                        file.seek(offset)
                        record = json.loads(file.read(length))
                        record.pop("timing", None)
                        yield _line(record)

        return self._replace(RESULTS, lines())

    def _acquire(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.pread(self._lock, 64, 0).decode().strip() or "unknown"
            raise StoreError(
                f"{self.directory} is in use by another process (pid {owner}); "
                "wait for it, stop it, or choose another run_dir"
            ) from error
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    def _load(self) -> None:
        path = self.directory / RECORDS
        if not path.exists():
            return
        with _clear_errors(self.directory):
            is_clean = self._read(path)
            if not is_clean:
                with path.open("rb") as file:
                    kept = [
                        os.pread(file.fileno(), length, offset)
                        for offset, length in self._places.values()
                    ]
                self._replace(RECORDS, kept)
                self._heads.clear()
                self._places.clear()
                self._read(path)

    def _read(self, path: Path) -> bool:
        """Index the records; False if some of them have to be removed."""
        offset, number, is_clean = 0, 0, True
        torn: str | None = None
        with path.open("rb") as file:
            for line in file:
                number += 1
                if torn is not None:
                    raise StoreError(f"{path}, line {number - 1}: {torn}; the file is damaged")
                try:
                    if not line.endswith(b"\n"):
                        raise ValueError("the line is not complete")
                    record = json.loads(line)
                    key = RecordKey.of(record)
                except (ValueError, KeyError, TypeError) as error:
                    # Only the last line can be torn by a kill; checked on the next line.
                    torn, is_clean = f"not a record ({error})", False
                    continue
                if key in self._heads:
                    raise StoreError(f"{path}, line {number}: second record of {key}")
                if _is_transient_failure(record):
                    is_clean = False
                else:
                    self._remember(key, record, offset, len(line))
                offset += len(line)
        return is_clean

    def _remember(self, key: RecordKey, record: Record, offset: int, length: int) -> None:
        self._heads[key] = {name: value for name, value in record.items() if name not in _LARGE}
        self._places[key] = (offset, length)

    def _append_to(self, name: str, rows: Iterable[Record]) -> None:
        with _clear_errors(self.directory):
            file = _open_for_append(self.directory / name)
            try:
                for row in rows:
                    _write(file, _line(row))
            finally:
                os.close(file)

    def _replace(self, name: str, lines: Iterable[bytes]) -> Path:
        path = self.directory / name
        draft = path.with_name(f"{name}.draft")
        with _clear_errors(self.directory):
            with draft.open("wb") as file:
                file.writelines(lines)
            draft.replace(path)
        return path


@contextmanager
def _clear_errors(directory: Path) -> Generator[None, None, None]:
    """Turn errors of the operating system into a StoreError that says what to do."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"cannot write the run to {directory}: {error.strerror or error}; free some space or "
            "correct the permissions and start the same command again to resume, or choose "
            "another run_dir"
        ) from error


def _is_transient_failure(record: Record) -> bool:
    error = record.get("error")
    return isinstance(error, dict) and bool(cast("Record", error).get("is_transient"))


def _open_for_append(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)


def _line(record: Record) -> bytes:
    try:
        text = json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise StoreError(f"a record cannot be written as JSON: {error}") from error
    return text.encode() + b"\n"


def _write(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
