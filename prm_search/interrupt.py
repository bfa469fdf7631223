"""What Ctrl-C does to a run."""

from __future__ import annotations

import asyncio
import signal

from prm_search.progress import ProgressDisplay


class StopOnInterrupt:
    """On Ctrl-C take no further problems; on a second one end at once.

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
        self._loop.add_signal_handler(signal.SIGINT, self._interrupt)

    def __exit__(self, *error: object) -> None:
        self._loop.remove_signal_handler(signal.SIGINT)

    def _interrupt(self) -> None:
        if not self._stop.is_set():
            self._stop.set()
            self._display.say("Stopping: what is in flight is finished. Ctrl-C again ends at once.")
        elif self._task is not None:
            self._loop.remove_signal_handler(signal.SIGINT)
            self._task.cancel()
