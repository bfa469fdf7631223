"""How far a training of a policy is: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

_SECONDS_BETWEEN_LINES = 15.0


class RlProgress:
    """Shows updates, rewards and the time that is left.

    Args:
        num_updates: in all.
        num_done: of an earlier session.
        is_shown: False for all processes but one.
    """

    def __init__(self, *, num_updates: int, num_done: int, is_shown: bool) -> None:
        self._num_updates = num_updates
        self._num_done = num_done
        self._is_shown = is_shown
        self._began = self._last = time.monotonic()
        self._progress = Progress(
            TextColumn("rl"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[summary]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            disable=not is_shown,
        )
        self._task = self._progress.add_task(
            "rl", total=num_updates, completed=num_done, summary=""
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def say(self, message: str) -> None:
        """Show a message without disturbing the display."""
        if self._is_shown:
            self._progress.console.print(message, highlight=False, markup=False, soft_wrap=True)

    def advance(self, update: int, metrics: Mapping[str, float]) -> None:
        """Show that a 1-based update is done."""
        now = time.monotonic()
        seconds = (now - self._began) / max(1, update - self._num_done)
        summary = f"{describe(metrics)}, {seconds:.1f} s an update"
        self._progress.update(self._task, completed=update, summary=summary)
        is_due = now - self._last > _SECONDS_BETWEEN_LINES or update == self._num_updates
        if is_due and not self._progress.console.is_terminal:
            self._last = now
            left = (self._num_updates - update) * seconds
            self.say(f"update {update}/{self._num_updates}: {summary}, at most {left:.0f} s left")


def describe(metrics: Mapping[str, float]) -> str:
    """The rewards of an update in words."""
    names = {
        "outcome": "right {:.0%}",
        "prm_mean": "PRM {:.2f}",
        "steps_per_response": "{:.1f} steps",
    }
    return ", ".join(text.format(metrics[name]) for name, text in names.items() if name in metrics)
