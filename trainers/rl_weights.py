"""The weights of the policy, on their way from the trainer to the engines."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from prm_search.errors import TrainingError

_MEMORY = Path("/dev/shm")


class WeightFolders:
    """Writes each version of the weights to a folder of its own, and keeps the last two.

    Args:
        folder: that the engines see, too; None takes the memory of this machine.
        run_dir: of the training. Names the place within the folder, so that what a killed
            process leaves there is found again, and removed in the end.
        dtype: that the engines compute in.
    """

    def __init__(self, folder: str | None, *, run_dir: str, dtype: torch.dtype) -> None:
        memory = _MEMORY if os.access(_MEMORY, os.W_OK) else Path(tempfile.gettempdir())
        parent = memory if folder is None else Path(folder).expanduser().absolute()
        digest = hashlib.blake2b(str(Path(run_dir).absolute()).encode(), digest_size=8)
        self._folder = parent / f"prm_search_weights_{digest.hexdigest()}"
        self._dtype = dtype

    def write(self, weights: dict[str, Tensor], version: int) -> str:
        """Write a version.

        Returns:
            Its folder.

        Raises:
            TrainingError: if it cannot be written.
        """
        target = self._folder / f"version_{version:08}"
        draft = self._folder / f".draft_{version:08}"
        rounded = {name: weight.to(self._dtype).contiguous() for name, weight in weights.items()}
        try:
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir(parents=True)
            save_file(rounded, draft / "model.safetensors", metadata={"format": "pt"})
            shutil.rmtree(target, ignore_errors=True)
            draft.rename(target)
        except (OSError, SafetensorError) as error:
            raise TrainingError(
                f"cannot hand weights over at {self._folder}: {error}; make room, or choose "
                "another trainer.weights_dir"
            ) from error
        for old in sorted(self._folder.glob("version_*"))[:-2]:
            shutil.rmtree(old, ignore_errors=True)
        return str(target)

    def remove(self) -> None:
        """Remove what was written."""
        shutil.rmtree(self._folder, ignore_errors=True)


def policy_weights(model: nn.Module | None, accelerator: Accelerator) -> dict[str, Tensor]:
    """The weights of a language model, gathered from all processes, on the CPU.

    Every process has to call this; what it gives counts in the main one. Weights that are tied
    to others are left out.
    """
    unwrapped: Any = accelerator.unwrap_model(model)
    tied = set(getattr(unwrapped, "all_tied_weights_keys", None) or ())
    state: Any = accelerator.get_state_dict(model) or {}
    return {name: weight.detach().cpu() for name, weight in state.items() if name not in tied}
