"""Checkpoints of a training: folders that are complete or do not exist."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from prm_search.errors import TrainingError

STATE = "state.json"
"""How far the training was; the file that is written last."""


class Checkpoints:
    """The checkpoints of one training.

    Args:
        folder: where they are; made if it does not exist.
        max_checkpoints: how many are kept.
    """

    def __init__(self, folder: Path, *, max_checkpoints: int) -> None:
        self._folder = folder
        self._max_checkpoints = max_checkpoints

    def latest(self) -> Path | None:
        """The newest checkpoint, or None."""
        return max(self._all(), default=None)

    def begin(self, step: int) -> Path:
        """An empty folder to write the checkpoint of an update to.

        Raises:
            TrainingError: if it cannot be made.
        """
        with self.writing():
            draft = self._draft(step)
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir(parents=True)
        return draft

    def finish(self, step: int, state: Mapping[str, Any]) -> None:
        """Let what was written become the newest checkpoint, and remove the oldest ones.

        Raises:
            TrainingError: if it cannot be written.
        """
        draft = self._draft(step)
        with self.writing():
            (draft / STATE).write_text(json.dumps({"step": step, **state}) + "\n")
            replace_folder(draft, self._folder / f"step_{step:08}")
        for old in sorted(self._all())[: -self._max_checkpoints]:
            shutil.rmtree(old, ignore_errors=True)

    @contextmanager
    def writing(self) -> Generator[None, None, None]:
        """Turn what goes wrong while writing into an error that says what is left.

        Raises:
            TrainingError: naming the last good checkpoint.
        """
        try:
            yield
        except (OSError, SafetensorError, RuntimeError) as error:
            self.discard()
            last = self.latest()
            kept = f"the last one is {last}" if last else "there is none yet"
            raise TrainingError(
                f"cannot write a checkpoint to {self._folder}: {error}; {kept}. Make room and "
                "start the same run_dir again"
            ) from error

    def discard(self) -> None:
        """Remove what was begun and not finished."""
        for draft in self._folder.glob(".draft_*"):
            shutil.rmtree(draft, ignore_errors=True)

    def _all(self) -> list[Path]:
        return [path for path in self._folder.glob("step_*") if (path / STATE).is_file()]

    def _draft(self, step: int) -> Path:
        return self._folder / f".draft_{step:08}"


def read_state(checkpoint: Path) -> dict[str, Any]:
    """How far the training was."""
    return json.loads((checkpoint / STATE).read_text())


def replace_folder(draft: Path, target: Path) -> None:
    """Put a folder in the place of another, after all of it has reached the disk."""
    for path in draft.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    old = target.with_name(f".old_{target.name}")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    draft.rename(target)
    shutil.rmtree(old, ignore_errors=True)
