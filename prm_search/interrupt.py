"""What Ctrl-C does to a run, and SIGTERM, which `kill` and schedulers send."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Generator
from contextlib import contextmanager

from prm_search.progress import ProgressDisplay

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def terminated_as_interrupted() -> Generator[None, None, None]:
    """While this lasts, SIGTERM raises KeyboardInterrupt, so that engines are closed.

    One of several processes of a training is left alone: it may wait for the others in a call that
    no exception ends, and those who sent the signal count on its death.
    """
    before = signal.getsignal(signal.SIGTERM)
    try:
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            signal.signal(signal.SIGTERM, signal.default_int_handler)
    except ValueError:  # not in the main thread, which alone may do this
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class StopOnInterrupt:
    """On the first signal take no further problems; on a second one end at once.

    Example:
        >>> with StopOnInterrupt(stop, display):  # doctest: +SKIP
        ...     await work_off(problems, work, stop=stop, progress=display)
    """

    def __init__(self, stop: asyncio.Event, display: ProgressDisplay) -> None:
        self._stop = stop
        self._display = display
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()

    def __enter__(self) -> None:
        self._before = signal.getsignal(signal.SIGTERM)
        for number in SIGNALS:
            self._loop.add_signal_handler(number, self._interrupt)

    def __exit__(self, *error: object) -> None:
        self._remove()

    def _remove(self) -> None:
        for number in SIGNALS:
            self._loop.remove_signal_handler(number)
        signal.signal(signal.SIGTERM, self._before)

    def _interrupt(self) -> None:
        if not self._stop.is_set():
            self._stop.set()
            self._display.say("Stopping: what is in flight is finished. Ctrl-C again ends at once.")
        elif self._task is not None:
            self._remove()
            self._task.cancel()
