"""How a training of several processes learns that it shall stop after the update under way."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from accelerate import Accelerator
from accelerate.utils import gather_object


class Stop(Protocol):
    """Such as an `asyncio.Event`."""

    def is_set(self) -> bool:
        """Whether the training shall stop."""
        ...


@dataclass(frozen=True, slots=True)
class StopFile:
    """Stops processes on other machines, too: all of them see the run directory."""

    run_dir: str

    @property
    def _path(self) -> Path:
        return Path(self.run_dir) / ".stop"

    def is_set(self) -> bool:
        """Whether the training shall stop."""
        return self._path.exists()

    def clear(self) -> None:
        """Take back what an earlier session was told."""
        self._path.unlink(missing_ok=True)

    async def follow(self, stop: asyncio.Event) -> None:
        """Wait for an event of this process, and pass it on."""
        await stop.wait()
        self._path.touch()


def shall_stop(stop: Stop, accelerator: Accelerator) -> bool:
    """Whether to stop now; every process has to ask, and all get the same answer."""
    if accelerator.num_processes == 1:
        return stop.is_set()
    return any(gather_object([stop.is_set()]))
