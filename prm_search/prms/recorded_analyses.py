"""What each analysis of a step said and cost, as a generative PRM records it in a file.

As the analyses of fewer samples are the first ones of more, one recording of many samples holds
what any smaller number of them, and any rule of when to stop, would have given.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from prm_search.errors import StoreError

Prefix: TypeAlias = tuple[str, tuple[str, ...]]
"""A problem, and the steps up to the judged one, without the white space around them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordedStep:
    """A judged step: the last one of a prefix."""

    problem: str
    steps: tuple[str, ...]
    """Up to the judged one."""
    values: tuple[float | None, ...]
    """[num_analyses] in [0, 1], in the order of their numbers; None where no verdict can be
    read."""
    num_tokens: tuple[int, ...]
    """[num_analyses] that were computed: of the prompt those not in a cache, and what was
    written."""

    @property
    def prefix(self) -> Prefix:
        """By which it is found."""
        return self.problem, self.steps


class AnalysisRecording:
    """A file that judged steps are added to, a line for each."""

    def __init__(self, path: str) -> None:
        self._path = Path(path).expanduser()

    def open(self) -> None:
        """Make sure that lines can be added, also after one that was cut off.

        Raises:
            StoreError: if the file cannot be written.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            text = self._path.read_bytes() if self._path.exists() else b""
            with self._path.open("ab") as file:
                if text and not text.endswith(b"\n"):
                    file.write(b"\n")
        except OSError as error:
            raise self._error(error) from error

    def add(self, step: RecordedStep) -> None:
        """Add a judged step.

        Raises:
            StoreError: if it cannot be written.
        """
        line = json.dumps(
            {
                "problem": step.problem,
                "steps": step.steps,
                "values": step.values,
                "num_tokens": step.num_tokens,
            }
        )
        try:
            with self._path.open("a") as file:
                file.write(line + "\n")
        except OSError as error:
            raise self._error(error) from error

    def _error(self, error: OSError) -> StoreError:
        return StoreError(f"prm.recording: cannot write to {self._path}: {error}")


def read_recorded_steps(path: Path) -> Mapping[Prefix, RecordedStep]:
    """The judged steps of a recording; of one that was judged twice, the last time.

    A line that was cut off, by a kill for instance, is left out: its step was judged anew.

    Raises:
        StoreError: if there is no such file, or a whole line is no judged step.
    """
    found: dict[Prefix, RecordedStep] = {}
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error}") from error
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
        except ValueError:
            continue
        try:
            step = RecordedStep(
                problem=row["problem"],
                steps=tuple(row["steps"]),
                values=tuple(row["values"]),
                num_tokens=tuple(row["num_tokens"]),
            )
        except (KeyError, TypeError) as error:
            raise StoreError(f"{path}, line {number}: not a judged step ({error!r})") from error
        found[step.prefix] = step
    return found
