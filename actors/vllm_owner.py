"""Ends vLLM's processes when the process that started them is gone.

When its owner is killed, a vLLM engine core keeps running and keeps the device. vLLM imports
this module in each worker process (as `worker_extension_cls`); from then on the worker watches
the owner, and takes the engine core with it.
"""

from __future__ import annotations

import multiprocessing
import os
import select
import signal
import threading

OWNER = "PRM_SEARCH_ENGINE_OWNER"
"""Environment variable with the owner's process id."""


class EndsWithItsOwner:
    """By this name vLLM finds the module; a worker gains nothing else from it."""


def _end_with(owner: int) -> None:
    try:
        descriptor = os.pidfd_open(owner)
    except ProcessLookupError:
        pass
    else:
        select.select([descriptor], [], [])
    core = multiprocessing.parent_process()
    # Without workers of its own, an engine core runs the model itself and is the owner's child.
    if core is not None and core.pid not in (None, owner) and core.pid == os.getppid():
        os.kill(core.pid, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


if (_owner := int(os.environ.get(OWNER, os.getpid()))) != os.getpid():
    threading.Thread(target=_end_with, args=(_owner,), name="owner-watch", daemon=True).start()
