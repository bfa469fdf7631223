"""How far a run is: totals, and their display while it lasts."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, Self, cast

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

_SECONDS_BETWEEN_LINES = 10.0


class RunningTotals(Protocol):
    """Sums over the records of one method: a frozen dataclass. Its text is shown."""

    @property
    def num_problems(self) -> int:
        """Problems that have a record."""
        ...

    @property
    def num_tokens(self) -> int:
        """Tokens that the engines computed, for the rate."""
        ...

    def add(self, record: Mapping[str, object]) -> Self:
        """These sums and one more record."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Totals:
    """Sums over the records of one method."""

    num_problems: int = 0
    """Problems that have a record."""
    num_graded: int = 0
    """Problems whose answer could be graded, right or wrong."""
    num_correct: int = 0
    num_failed: int = 0
    """Problems on which the search failed."""
    num_ungradable: int = 0
    """Problems whose answer the grader could not tell."""
    generated_tokens: int = 0
    """Tokens that the policy generated."""
    scored_tokens: int = 0
    """Tokens that the PRM computed."""
    cached_tokens: int = 0
    """Tokens that the PRM found in its cache."""

    def add(self, record: Mapping[str, object]) -> Totals:
        """These totals and one more record."""
        usage = cast("Mapping[str, Mapping[str, int]]", record["usage"])
        policy, prm = usage.get("policy", {}), usage.get("prm", {})
        return Totals(
            num_problems=self.num_problems + 1,
            num_graded=self.num_graded + (record["is_correct"] is not None),
            num_correct=self.num_correct + (record["is_correct"] is True),
            num_failed=self.num_failed + (record["error"] is not None),
            num_ungradable=self.num_ungradable + (record["grading_failure"] is not None),
            generated_tokens=self.generated_tokens + policy.get("generated_tokens", 0),
            scored_tokens=self.scored_tokens + prm.get("scored_tokens", 0),
            cached_tokens=self.cached_tokens + prm.get("cached_tokens", 0),
        )

    @property
    def num_tokens(self) -> int:
        """Tokens that the policy generated or the PRM computed."""
        return self.generated_tokens + self.scored_tokens

    @property
    def accuracy(self) -> float | None:
        """Share of the graded problems that are right; None if none was graded."""
        return self.num_correct / self.num_graded if self.num_graded else None

    def __str__(self) -> str:
        accuracy = "–" if self.accuracy is None else f"{self.accuracy:.1%}"
        parts = [f"accuracy {accuracy}"]
        if self.num_failed:
            parts.append(f"{self.num_failed} failed")
        if self.num_ungradable:
            parts.append(f"{self.num_ungradable} not gradable")
        return ", ".join(parts)


class ProgressDisplay(Protocol):
    """Shows how far a method is."""

    def begin(self, method: str, *, num_problems: int, totals: RunningTotals) -> None:
        """A method starts; `totals` holds what earlier sessions have finished."""
        ...

    def update(self, totals: RunningTotals) -> None:
        """A problem has been finished."""
        ...

    def end(self) -> None:
        """The method has ended."""
        ...

    def say(self, message: str) -> None:
        """Show a message without disturbing the display."""
        ...


class Silent:
    """Shows nothing."""

    def begin(self, method: str, *, num_problems: int, totals: RunningTotals) -> None:
        """Nothing."""

    def update(self, totals: RunningTotals) -> None:
        """Nothing."""

    def end(self) -> None:
        """Nothing."""

    def say(self, message: str) -> None:
        """Nothing."""


class _Clock:
    """Rates since the beginning of this session."""

    def __init__(self, num_problems: int, totals: RunningTotals) -> None:
        self.num_problems = num_problems
        self._first = totals
        self._start = time.monotonic()

    @property
    def seconds(self) -> float:
        return max(time.monotonic() - self._start, 1e-9)

    def rate(self, totals: RunningTotals) -> float:
        """Problems a second."""
        return (totals.num_problems - self._first.num_problems) / self.seconds

    def describe(self, totals: RunningTotals) -> str:
        tokens = totals.num_tokens - self._first.num_tokens
        rate = f"{self.rate(totals):.1f} problems/s, {tokens / self.seconds:,.0f} tokens/s"
        return f"{totals}, {rate}"


class Bars:
    """A progress bar per method, for terminals."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description:<22}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[summary]}"),
            console=console,
        )
        self._task: TaskID | None = None

    def begin(self, method: str, *, num_problems: int, totals: RunningTotals) -> None:
        """Add a bar."""
        self._clock = _Clock(num_problems, totals)
        self._progress.start()
        self._task = self._progress.add_task(
            method, total=num_problems, completed=totals.num_problems, summary=str(totals)
        )

    def update(self, totals: RunningTotals) -> None:
        """Move the bar."""
        if self._task is not None:
            self._progress.update(
                self._task,
                completed=totals.num_problems,
                summary=self._clock.describe(totals),
            )

    def end(self) -> None:
        """Leave the bar on the screen."""
        self._progress.stop()

    def say(self, message: str) -> None:
        """Print above the bars."""
        self._progress.console.print(message, highlight=False, markup=False, soft_wrap=True)


class Lines:
    """A line now and then, for files and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def begin(self, method: str, *, num_problems: int, totals: RunningTotals) -> None:
        """Say what starts."""
        self._method = method
        self._clock = _Clock(num_problems, totals)
        self._last = time.monotonic()
        done = f", {totals.num_problems} done before" if totals.num_problems else ""
        self.say(f"{method}: {num_problems} problems{done}")

    def update(self, totals: RunningTotals) -> None:
        """Print a line if the last one is some seconds old, or if this is the end."""
        left = self._clock.num_problems - totals.num_problems
        now = time.monotonic()
        if left and now - self._last < _SECONDS_BETWEEN_LINES:
            return
        self._last = now
        rate = self._clock.rate(totals)
        left_text = f", {left / rate:.0f} s left" if left and rate else ""
        self.say(
            f"{self._method}: {totals.num_problems}/{self._clock.num_problems}, "
            f"{self._clock.describe(totals)}{left_text}"
        )

    def end(self) -> None:
        """Nothing: the last line has been printed."""

    def say(self, message: str) -> None:
        """Print a line."""
        self._console.print(message, highlight=False, markup=False, soft_wrap=True)


def display_for(console: Console) -> ProgressDisplay:
    """Bars on a terminal, else lines."""
    return Bars(console) if console.is_terminal else Lines(console)
