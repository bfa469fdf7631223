"""What Ctrl-C and SIGTERM do to a training."""

from __future__ import annotations

import signal
from collections.abc import Generator
from contextlib import contextmanager

from prm_search.interrupt import SIGNALS


@contextmanager
def interruptible(*, is_alone: bool) -> Generator[list[int], None, None]:
    """While this lasts, a signal is noted in the list; the second one ends everything at once.

    Several processes would have to agree on when to stop: there a signal ends them, and the last
    checkpoint is what is kept.

    Args:
        is_alone: whether this is the only process of the training.
    """
    noted: list[int] = []
    if not is_alone:
        yield noted
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def note(number: int, frame: object) -> None:
        if noted:
            raise KeyboardInterrupt
        noted.append(number)

    try:
        for number in SIGNALS:
            signal.signal(number, note)
    except ValueError:  # not in the main thread, which alone may do this
        yield noted
        return
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
