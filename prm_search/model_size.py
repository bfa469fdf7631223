"""How many parameters a model has, from the headers of its files; nothing is loaded."""

from __future__ import annotations

import json
import math
from importlib import import_module
from pathlib import Path
from typing import Any, cast

_INDEX = "model.safetensors.index.json"
_SINGLE = "model.safetensors"
_HEADER_LENGTH = 8
"""A file begins with the length of its header, in so many bytes (little-endian)."""
_MAX_HEADER = 100_000_000
"""What the library safetensors reads at most."""


def num_parameters(model: str) -> int | None:
    """The parameters of a model, embeddings included; tied ones count once.

    Args:
        model: a folder, or a name on the Hugging Face Hub whose files have been downloaded.

    Returns:
        None if its weights are not on this machine, or not safetensors.
    """
    if not model:
        return None
    folder = Path(model).expanduser()
    if not folder.is_dir():
        index = _downloaded(model, _INDEX) or _downloaded(model, _SINGLE)
        if index is None:
            return None
        folder = index.parent
    try:
        return sum(map(_num_in_file, _files(folder))) or None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _files(folder: Path) -> list[Path]:
    """The files with weights. Some folders hold the same weights once more under other names."""
    if (folder / _INDEX).is_file():
        weights = json.loads((folder / _INDEX).read_text())["weight_map"]
        return [folder / name for name in sorted(set(weights.values()))]
    if (folder / _SINGLE).is_file():
        return [folder / _SINGLE]
    return sorted(folder.glob("*.safetensors"))


def _num_in_file(path: Path) -> int:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_HEADER_LENGTH), "little")
        if length > _MAX_HEADER:
            raise ValueError(f"{path} is no safetensors file")
        header = cast("dict[str, Any]", json.loads(file.read(length)))
    header.pop("__metadata__", None)
    return sum(math.prod(tensor["shape"]) for tensor in header.values())


def _downloaded(model: str, name: str) -> Path | None:
    try:
        hub: Any = import_module("huggingface_hub")
    except ImportError:
        return None
    try:
        found = hub.try_to_load_from_cache(model, name)
    except ValueError:  # no name of a model on the Hub
        return None
    return Path(found) if isinstance(found, str) else None
