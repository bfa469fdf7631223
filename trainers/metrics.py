"""Metrics of a training: lines of a file, and a tracker where one is asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.utils import is_tensorboard_available, is_wandb_available

from prm_search.errors import ConfigurationError
from prm_search.store import METRICS
from trainers.prm_settings import Tracker


class MetricsLog:
    """Writes in the main process; in the others it does nothing.

    Args:
        folder: the run directory.
        after: update that is gone on from; later lines of an earlier session are removed.
        accelerator: with the tracker that `tracker_names` gave.
    """

    def __init__(self, folder: Path, *, after: int, accelerator: Accelerator) -> None:
        self._accelerator = accelerator
        self._path = folder / METRICS
        if accelerator.is_main_process and self._path.exists():
            lines = [line for line in self._path.read_text().splitlines() if _step(line) <= after]
            draft = self._path.with_name(f".draft_{METRICS}")
            draft.write_text("".join(f"{line}\n" for line in lines))
            draft.replace(self._path)  # killed meanwhile, nothing is lost

    def write(self, step: int, values: Mapping[str, Any]) -> None:
        """Add a line."""
        if self._accelerator.is_main_process:
            with self._path.open("a") as file:
                file.write(json.dumps({"step": step, **values}) + "\n")
        self._accelerator.log(dict(values), step=step)


def tracker_names(tracker: Tracker, setting: str = "trainer.report_to") -> list[str]:
    """What an accelerator logs with.

    Args:
        tracker: what is asked for.
        setting: where it is asked for.

    Raises:
        ConfigurationError: if the tracker is not installed.
    """
    is_there = {
        Tracker.none: lambda: True,
        Tracker.tensorboard: is_tensorboard_available,
        Tracker.wandb: is_wandb_available,
    }
    if not is_there[tracker]():
        raise ConfigurationError(
            f"{setting}={tracker}: {tracker} is not installed; pip install {tracker}, or take "
            f"{setting}=none (metrics.jsonl is written in any case)"
        )
    return [] if tracker is Tracker.none else [str(tracker)]


def _step(line: str) -> int:
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError):  # torn when the process was killed
        return 1 << 62
