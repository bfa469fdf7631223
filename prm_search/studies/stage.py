"""Stages: the parts of a study, each done once, however often the study is stopped and resumed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

from rich.console import Console
from rich.status import Status

from prm_search.errors import PrmSearchError
from prm_search.run_session import INTERRUPTED, OK

STAGES = "stages.jsonl"
"""The stages that are done, with what they took."""
LOGS = "logs"

_SECONDS_BETWEEN_LOOKS = 0.5
_SECONDS_BETWEEN_LINES = 60.0
_LINES_SHOWN = 15


class StageError(PrmSearchError, RuntimeError):
    """A stage of a study failed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """A part of a study."""

    kind: str
    """Stages of the same kind take about the same time."""
    name: str
    """Unique in a study, and fit for a file name."""
    output: Path
    """What is there exactly if the stage is done."""
    work: Sequence[str] | Callable[[], object]
    """The arguments of a prm-search that does it in a process of its own, or a function."""


Wait: TypeAlias = Callable[[str, float], None]
"""Told now and then, while a stage runs: the last line that it wrote, and the seconds it took."""


class Launch(Protocol):
    """Runs prm-search."""

    def __call__(self, arguments: Sequence[str], log: Path, wait: Wait) -> int:
        """Run a command to its end.

        Args:
            arguments: of prm-search.
            log: where its output goes.
            wait: called while it runs.

        Returns:
            Its exit code.
        """
        ...


def launch_process(arguments: Sequence[str], log: Path, wait: Wait) -> int:
    """Run prm-search in a process of its own; see `Launch`.

    Ctrl-C is passed on, so that the process can finish what is in flight.
    """
    started = time.monotonic()
    is_interrupted = False
    with (
        log.open("ab") as output,
        subprocess.Popen(
            [sys.executable, "-m", "prm_search", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a terminal's Ctrl-C comes here alone, and from here to it
        ) as process,
    ):
        while True:
            try:
                try:
                    code = process.wait(_SECONDS_BETWEEN_LOOKS)
                except subprocess.TimeoutExpired:
                    wait(last_line(log), time.monotonic() - started)
                else:
                    return INTERRUPTED if is_interrupted else code
            except KeyboardInterrupt:
                is_interrupted = True  # whatever it still finishes
                process.send_signal(signal.SIGINT)
            except BaseException:
                process.terminate()
                raise


def last_line(log: Path) -> str:
    """The last line that was written to a log, as far as a line of a terminal shows it."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 2000))
        lines = file.read().decode(errors="replace").replace("\r", "\n").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "")[:100]


class Stages:
    """Does the stages of a study in order, shows how far it is, and keeps what they took."""

    def __init__(
        self, run_dir: Path, stages: Sequence[Stage], *, launch: Launch, console: Console
    ) -> None:
        """The directory exists.

        Args:
            stages: all of the study.
            launch: runs the commands.
            console: where progress is shown.
        """
        self._run_dir = run_dir
        self._stages = stages
        self._launch = launch
        self._console = console

    def run(self, stage: Stage) -> int:
        """Do a stage, unless it is done.

        Returns:
            0 if it is done, 130 if it was interrupted.

        Raises:
            StageError: if it failed.
        """
        if stage.output.exists():
            return OK
        number = self._stages.index(stage) + 1
        title = f"[{number}/{len(self._stages)}] {stage.name}"
        left = self.seconds_left()
        self._say(title + ("" if left is None else f" (about {minutes(left)} left)"))
        started = time.monotonic()
        if callable(stage.work):
            stage.work()
        else:
            code = self._launch_shown(stage, stage.work, title)
            if code == INTERRUPTED:
                return code
            if code or not stage.output.exists():
                raise StageError(self._failure(stage, code))
        seconds = time.monotonic() - started
        with (self._run_dir / STAGES).open("a") as file:
            took = {"stage": stage.name, "kind": stage.kind, "seconds": round(seconds, 1)}
            file.write(json.dumps(took) + "\n")
        self._say(f"    done in {seconds:.0f} s")
        return OK

    def seconds_left(self) -> float | None:
        """What the stages that are left will take; None until one of each kind has been timed."""
        known: dict[str, list[float]] = {}
        for item in times(self._run_dir):
            known.setdefault(item.kind, []).append(item.seconds)
        left = [stage.kind for stage in self._stages if not stage.output.exists()]
        if not left or set(left) - known.keys():
            return None
        return sum(sum(known[kind]) / len(known[kind]) for kind in left)

    def _launch_shown(self, stage: Stage, arguments: Sequence[str], title: str) -> int:
        log = self._log(stage)
        log.parent.mkdir(exist_ok=True)
        shown = 0.0
        with Status(title, console=self._console) as status:

            def wait(line: str, seconds: float) -> None:
                nonlocal shown
                if self._console.is_terminal:
                    status.update(f"{seconds:.0f} s  {line}")
                elif seconds - shown >= _SECONDS_BETWEEN_LINES:
                    shown = seconds
                    self._say(f"    {seconds:.0f} s  {line}")

            return self._launch(arguments, log, wait)

    def _failure(self, stage: Stage, code: int) -> str:
        log = self._log(stage)
        lines = log.read_text(errors="replace").splitlines()[-_LINES_SHOWN:] if log.exists() else []
        end = "\n  ".join(["", *lines])
        what = f"ended with code {code}" if code else f"did not write {stage.output}"
        return f"{stage.name} {what}; the end of {log}:{end}"

    def _log(self, stage: Stage) -> Path:
        return self._run_dir / LOGS / f"{stage.name.replace(' ', '_')}.log"

    def _say(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Time:
    """What a stage took."""

    stage: str
    kind: str
    seconds: float


def times(run_dir: Path) -> list[Time]:
    """What the stages took that are done, as far as it is known."""
    path = run_dir / STAGES
    if not path.exists():
        return []
    lines = path.read_text().splitlines(keepends=True)
    return [Time(**json.loads(line)) for line in lines if line.endswith("\n")]


def minutes(seconds: float) -> str:
    """A time in words."""
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
