"""How far a training is: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import math
import time
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

_STEPS_BETWEEN_LINES = 50


class TrainingProgress:
    """Shows steps, a running mean of the loss, the rate and the time that is left.

    Args:
        description: shown beside the bar.
        num_steps: in all.
        num_done: of an earlier session.
        is_shown: False for all processes but one.
    """

    def __init__(
        self, description: str, *, num_steps: int, num_done: int = 0, is_shown: bool = True
    ) -> None:
        self._description = description
        self._num_steps = num_steps
        self._num_done = num_done
        self._average = math.nan
        self._started = time.monotonic()
        self._is_shown = is_shown
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]:.4f}  {task.fields[rate]:.2f} steps/s"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            disable=not is_shown,
        )
        self._task = self._progress.add_task(
            description, total=num_steps, completed=num_done, loss=math.nan, rate=0.0
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

    def advance(self, step: int, loss: float) -> None:
        """Show that a 1-based step is done."""
        self._average = loss if math.isnan(self._average) else 0.95 * self._average + 0.05 * loss
        rate = (step - self._num_done) / (time.monotonic() - self._started)
        self._progress.update(self._task, completed=step, loss=self._average, rate=rate)
        is_line = step % _STEPS_BETWEEN_LINES == 0 and not self._progress.console.is_terminal
        if self._is_shown and is_line:
            print(
                f"{self._description}: step {step}/{self._num_steps}, loss {self._average:.4f}, "
                f"{rate:.2f} steps/s, {(self._num_steps - step) / rate:.0f} s left",
                flush=True,
            )
