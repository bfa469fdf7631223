"""What a training needs in order to go on as if it had never stopped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from safetensors.torch import load_file, save_file
from torch import nn

from prm_search.errors import PrmSearchError, TrainingError
from trainers.checkpoints import Checkpoints, read_state
from trainers.optimizers import load_optimizers, save_optimizers

_WEIGHTS = "weights.safetensors"
_OPTIMIZERS = "optimizers.safetensors"
_DEEPSPEED = "deepspeed"


class TrainingState:
    """Weights that are trained and the state of the optimizers.

    Batches, learning rates and random numbers derive from the seed and the number of the update,
    so nothing else has to be kept. Under DeepSpeed its own format is used, one part per process.

    Args:
        model: as it was prepared by the accelerator.
        optimizers: not looked at under DeepSpeed, whose engine has them.
        accelerator: knows the processes.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizers: Sequence[torch.optim.Optimizer],
        accelerator: Accelerator,
    ) -> None:
        self._model: Any = model
        self._optimizers = optimizers
        self._accelerator = accelerator
        self._is_deepspeed = hasattr(model, "save_checkpoint")

    def save(self, checkpoints: Checkpoints, step: int, state: Mapping[str, Any]) -> None:
        """Write a checkpoint; every process has to call this.

        Raises:
            TrainingError: in all processes, if one of them cannot write its part.
        """
        is_main = self._accelerator.is_main_process
        draft: list[Path | None] = [None]

        def begin() -> None:
            draft[0] = checkpoints.begin(step)

        self._together(begin if is_main else None)
        [folder] = [path for path in gather_object(draft) if path is not None]

        def write() -> None:
            with checkpoints.writing():
                if self._is_deepspeed:
                    self._model.save_checkpoint(str(folder), tag=_DEEPSPEED)
                else:
                    save_file(self._trained(), folder / _WEIGHTS)
                    save_optimizers(self._optimizers, folder / _OPTIMIZERS)

        self._together(write if is_main or self._is_deepspeed else None)
        self._together((lambda: checkpoints.finish(step, state)) if is_main else None)

    def load(self, checkpoint: Path) -> dict[str, Any]:
        """Go back to a checkpoint, and give what was kept beside it.

        Raises:
            TrainingError: if it cannot be read.
        """
        try:
            if self._is_deepspeed:
                self._model.load_checkpoint(str(checkpoint), tag=_DEEPSPEED)
            else:
                weights = load_file(checkpoint / _WEIGHTS)
                own = dict(self._unwrapped().named_parameters())
                with torch.no_grad():
                    for name, weight in weights.items():
                        own[name].copy_(weight)
                load_optimizers(self._optimizers, checkpoint / _OPTIMIZERS)
            return read_state(checkpoint)
        except (OSError, KeyError, ValueError, RuntimeError, AssertionError) as error:
            raise TrainingError(f"cannot go on from {checkpoint}: {error!r}") from error

    def _trained(self) -> dict[str, torch.Tensor]:
        named = self._unwrapped().named_parameters()
        return {
            name: weight.detach().contiguous() for name, weight in named if weight.requires_grad
        }

    def _unwrapped(self) -> nn.Module:
        return cast("nn.Module", self._accelerator.unwrap_model(self._model))

    def _together(self, work: Any) -> None:
        """Do a part of the work in this process, and fail in all if it failed in one."""
        failure: list[PrmSearchError | None] = [None]
        try:
            if work is not None:
                work()
        except PrmSearchError as error:
            failure = [error]
        for error in gather_object(failure):
            if error is not None:
                raise error
