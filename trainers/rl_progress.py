"""How far a training of a policy is: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_SECONDS_BETWEEN_LINES = 15.0


class RlProgress:
    """Shows updates, rewards and the time that is left.

    Args:
        num_done: updates of an earlier session.
        share_done: how far the training is, in [0, 1].
        is_shown: False for all processes but one.
    """

    def __init__(self, *, num_done: int, share_done: float, is_shown: bool) -> None:
        self._num_done = num_done
        self._share_before = share_done
        self._is_shown = is_shown
        self.begin()
        self._progress = Progress(
            TextColumn("rl"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:.0f}%"),
            TextColumn("{task.fields[summary]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            disable=not is_shown,
        )
        self._task = self._progress.add_task("rl", total=1.0, summary="")
        self._progress.update(self._task, completed=share_done)

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

    def begin(self) -> None:
        """Measure from now on: the first update begins."""
        self._began = self._last = time.monotonic()

    def say(self, message: str) -> None:
        """Show a message without disturbing the display."""
        if self._is_shown:
            self._progress.console.print(message, highlight=False, markup=False, soft_wrap=True)

    def advance(self, update: int, metrics: Mapping[str, float], *, share_done: float) -> None:
        """Show that a 1-based update is done."""
        now = time.monotonic()
        seconds = now - self._began
        done = share_done - self._share_before
        left = seconds * max(0.0, 1 - share_done) / done
        summary = (
            f"update {update}, {describe(metrics)}, "
            f"{seconds / (update - self._num_done):.1f} s an update"
        )
        self._progress.update(self._task, completed=min(1.0, share_done), summary=summary)
        is_due = now - self._last > _SECONDS_BETWEEN_LINES or share_done >= 1
        if is_due and not self._progress.console.is_terminal:
            self._last = now
            self.say(f"{share_done:4.0%}: {summary}, {left:.0f} s left")


def describe(metrics: Mapping[str, float]) -> str:
    """The rewards of an update in words."""
    names = {
        "outcome": "right {:.0%}",
        "prm_mean": "PRM {:.2f}",
        "steps_per_response": "{:.1f} steps",
    }
    return ", ".join(text.format(metrics[name]) for name, text in names.items() if name in metrics)
