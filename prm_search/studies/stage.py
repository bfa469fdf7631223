"""Stages: the parts of a study, each done once, however often the study is stopped and resumed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.status import Status

from prm_search.errors import PrmSearchError
from prm_search.run_session import INTERRUPTED, OK

STAGES = "stages.jsonl"
"""The stages that are done, with what they took."""
LOGS = "logs"

_SECONDS_BETWEEN_LOOKS = 0.2
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
    group: str | None = None
    """It may run beside the stages of the same group that stand next to it; None runs alone."""


class Process(Protocol):
    """A command that was started: a `subprocess.Popen`."""

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""
        ...

    def send_signal(self, sig: int, /) -> None:
        """Send it a signal."""
        ...


class Launch(Protocol):
    """Starts prm-search."""

    def __call__(self, arguments: Sequence[str], log: Path, *, num_threads: int | None) -> Process:
        """Start a command.

        Args:
            arguments: of prm-search.
            log: where its output is added.
            num_threads: that its computations may use; None leaves it to them.
        """
        ...


def launch_process(
    arguments: Sequence[str], log: Path, *, num_threads: int | None = None
) -> subprocess.Popen[bytes]:
    """Start prm-search in a process of its own; see `Launch`."""
    threads = {} if num_threads is None else {"OMP_NUM_THREADS": str(num_threads)}
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "prm_search", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **threads},
            start_new_session=True,  # a terminal's Ctrl-C goes to the study, which passes it on
        )


def last_line(log: Path) -> str:
    """The last line that was written to a log, as far as a line of a terminal shows it."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 2000))
        lines = file.read().decode(errors="replace").replace("\r", "\n").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "")[:100]


@dataclass(kw_only=True, slots=True)
class _Running:
    """A stage in a process of its own."""

    stage: Stage
    process: Process
    started: float
    counted: float
    shown: float = 0.0
    share: float = 0.0
    """Its part of the time until `counted`."""

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started


class Stages:
    """Does the stages of a study in order, shows how far it is, and keeps what they took."""

    def __init__(
        self,
        run_dir: Path,
        stages: Sequence[Stage],
        *,
        num_parallel: int,
        launch: Launch,
        console: Console,
    ) -> None:
        """The directory exists.

        Args:
            stages: all of the study.
            num_parallel: how many stages may run side by side, each on its share of the cores.
            launch: starts the commands.
            console: where progress is shown.
        """
        self._run_dir = run_dir
        self._stages = stages
        self._num_parallel = num_parallel
        self._launch = launch
        self._console = console

    def run(self, stages: Sequence[Stage]) -> int:
        """Do some of the stages, except those that are done.

        Ctrl-C is passed on to commands, so that they can finish what is in flight.

        Returns:
            0 if all are done, 130 if it was interrupted.

        Raises:
            StageError: if one failed; those beside it are finished.
        """
        left = [stage for stage in stages if not stage.output.exists()]
        for _, group in groupby(left, key=lambda stage: stage.group or stage.name):
            members = list(group)
            if self._run_group(members, min(self._num_parallel, len(members))) == INTERRUPTED:
                return INTERRUPTED
        return OK

    def seconds_left(self) -> float | None:
        """What the stages that are left will take; None until one of each kind has been timed."""
        known: dict[str, list[float]] = {}
        for item in times(self._run_dir):
            known.setdefault(item.kind, []).append(item.share)
        left = [stage.kind for stage in self._stages if not stage.output.exists()]
        if not left or set(left) - known.keys():
            return None
        return sum(sum(known[kind]) / len(known[kind]) for kind in left)

    def _run_group(self, stages: Sequence[Stage], size: int) -> int:
        """Do stages of one group, so many at a time."""
        waiting, running = list(stages), list[_Running]()
        failures: list[str] = []
        is_interrupted = False
        with Status("", console=self._console) as status:
            while waiting or running:
                try:
                    while waiting and len(running) < size:
                        self._begin(waiting.pop(0), size, running)
                    if running:
                        self._show(running, status)
                        time.sleep(_SECONDS_BETWEEN_LOOKS)
                        _divide_time(running)
                    failures += self._finish(running)
                    if failures:
                        waiting.clear()
                except KeyboardInterrupt:
                    is_interrupted = True  # whatever is still finished
                    waiting.clear()
                    for item in running:
                        item.process.send_signal(signal.SIGINT)
        if is_interrupted:
            return INTERRUPTED
        if failures:
            raise StageError("\n".join(failures))
        return OK

    def _begin(self, stage: Stage, num_beside: int, running: list[_Running]) -> None:
        left = self.seconds_left()
        number = self._stages.index(stage) + 1
        title = f"[{number}/{len(self._stages)}] {stage.name}"
        self._say(title + ("" if left is None else f" (about {minutes(left)} left)"))
        started = time.monotonic()
        if callable(stage.work):
            stage.work()
            seconds = time.monotonic() - started
            self._keep(stage, seconds, seconds)
            return
        log = self._log(stage)
        log.parent.mkdir(exist_ok=True)
        share = max(1, (os.cpu_count() or 1) // num_beside) if num_beside > 1 else None
        process = self._launch(stage.work, log, num_threads=share)
        running.append(_Running(stage=stage, process=process, started=started, counted=started))

    def _finish(self, running: list[_Running]) -> list[str]:
        """Take out the stages that have ended, and say what failed."""
        failures: list[str] = []
        for item in list(running):
            code = item.process.poll()
            if code is None:
                continue
            running.remove(item)
            if code == OK and item.stage.output.exists():
                self._keep(item.stage, item.seconds, item.share)
            else:
                failures.append(self._failure(item.stage, code))
        return failures

    def _keep(self, stage: Stage, seconds: float, share: float) -> None:
        item = Time(
            stage=stage.name, kind=stage.kind, seconds=round(seconds, 1), share=round(share, 1)
        )
        with (self._run_dir / STAGES).open("a") as file:
            file.write(json.dumps(asdict(item)) + "\n")
        self._say(f"    {stage.name}: done in {seconds:.0f} s")

    def _show(self, running: Sequence[_Running], status: Status) -> None:
        for item in running:
            line = f"{item.stage.name}: {item.seconds:.0f} s  {last_line(self._log(item.stage))}"
            if self._console.is_terminal:
                status.update(line)
            elif item.seconds - item.shown >= _SECONDS_BETWEEN_LINES:
                item.shown = item.seconds
                self._say(f"    {line}")

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
    share: float
    """Its part of the time, in seconds: of each moment as much as every stage that ran then."""


def _divide_time(running: Sequence[_Running]) -> None:
    """Give each of the stages that run its part of the time since the last call."""
    now = time.monotonic()
    for item in running:
        item.share += (now - item.counted) / len(running)
        item.counted = now


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
