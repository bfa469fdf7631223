"""The processes of a training by TRL: one, or those of torchrun or Accelerate's launcher."""

from __future__ import annotations

import torch
from accelerate import PartialState


def process_state() -> PartialState:
    """Which of the processes this one is. They find each other on the first call."""
    # Without being told, Accelerate does not look for others where there is no GPU.
    return PartialState(cpu=not torch.cuda.is_available())
