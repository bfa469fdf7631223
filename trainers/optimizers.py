"""Optimizers, and their state as safetensors."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from trainers.prm_settings import Optimizer, OptimizerName

_VALUES = "values"
"""Key of what is no tensor, in the metadata of the file."""


def make_optimizers(model: nn.Module, settings: Optimizer) -> list[torch.optim.Optimizer]:
    """The optimizers of all weights that are trained.

    AdamW for everything, without decay where there is one dimension or an embedding; or Muon for
    the matrices between embeddings and head, and AdamW for the rest.
    """
    named = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
    matrices = [weight for name, weight in named if weight.ndim == 2 and "embed" not in name]
    others = [weight for name, weight in named if weight.ndim != 2 or "embed" in name]
    rate, decay = settings.learning_rate, settings.weight_decay
    betas = (settings.beta1, settings.beta2)
    if settings.name is OptimizerName.muon:
        return [
            torch.optim.Muon(matrices, lr=rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(others, lr=rate, betas=betas, weight_decay=0.0),
        ]
    groups = [
        {"params": matrices, "weight_decay": decay},
        {"params": others, "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    return [torch.optim.AdamW(groups, lr=rate, betas=betas, fused=True)]


def set_rate(optimizers: Iterable[torch.optim.Optimizer], rate: float) -> None:
    """Set the learning rate of all weights."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate


def save_optimizers(optimizers: Sequence[torch.optim.Optimizer], path: Path) -> None:
    """Write the state of optimizers."""
    tensors: dict[str, Tensor] = {}
    values: dict[str, Any] = {}
    for number, optimizer in enumerate(optimizers):
        for index, state in optimizer.state_dict()["state"].items():
            for key, value in state.items():
                name = f"{number}.{index}.{key}"
                if isinstance(value, Tensor):
                    tensors[name] = value.detach().contiguous()
                else:
                    values[name] = value
    save_file(tensors, path, metadata={_VALUES: json.dumps(values)})


def load_optimizers(optimizers: Sequence[torch.optim.Optimizer], path: Path) -> None:
    """Give optimizers the state that was written."""
    states: list[dict[int, dict[str, Any]]] = [{} for _ in optimizers]
    with safe_open(path, framework="pt") as file:
        found: dict[str, Any] = json.loads(file.metadata()[_VALUES])
        found |= {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    for name, value in found.items():
        number, index, key = name.split(".", 2)
        states[int(number)].setdefault(int(index), {})[key] = value
    for optimizer, state in zip(optimizers, states, strict=True):
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state, "param_groups": groups})
