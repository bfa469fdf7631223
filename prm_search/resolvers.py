"""Values that the configuration works out: `${name:argument}` in a YAML file."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path

from omegaconf import OmegaConf


def register() -> None:
    """Make the resolvers known to OmegaConf."""
    OmegaConf.register_new_resolver("sandbox_model", sandbox_model, replace=True)
    OmegaConf.register_new_resolver("gpus_per_engine", gpus_per_engine, replace=True)
    OmegaConf.register_new_resolver("memory_share", memory_share, replace=True)
    OmegaConf.register_new_resolver("if_else", if_else, replace=True)


def sandbox_model(name: str) -> str:
    """The folder of a model that is shipped: base, policy, prm or judge."""
    return str(resources.files("prm_search").joinpath("sandbox", "models", name))


def gpus_per_engine(num_engines: int) -> float:
    """GPUs for each of some engines on this machine: a whole one, a part of one, or none."""
    num_gpus = count_gpus()
    return 1.0 if num_gpus >= num_engines else num_gpus / num_engines


def memory_share(num_gpus: float) -> float:
    """The share of a GPU's memory that an engine may take, if it has so many GPUs to itself."""
    return 0.9 * num_gpus if 0 < num_gpus < 1 else 0.9


def if_else(condition: bool, first: object, second: object) -> object:
    """The first value if the condition holds, else the second."""
    return first if condition else second


def count_gpus() -> int:
    """The NVIDIA GPUs of this machine that this process may use."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([device for device in visible.split(",") if device.strip() not in ("", "-1")])
    return len(list(Path("/dev").glob("nvidia[0-9]*")))
