"""The head of a PRM, as it stands in a checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import safe_open
from torch import Tensor, nn
from transformers.utils.hub import cached_file

from prm_search.errors import ConfigurationError, EngineError
from prm_search.model_folder import check_folder

_SERVED = "score."
"""What the head is called in checkpoints that vLLM serves."""
HEADS = (_SERVED, "classifier.", "v_head.", "score_head.")
"""Names of heads: of PRMs and classifiers, of TRL's value models (Skywork-o1), of ReasonEval."""
_SINGLE = "model.safetensors"
_INDEX = "model.safetensors.index.json"


def load_head(model: str) -> nn.Sequential:
    """The layers of a head in float32, in the order of their numbers, with ReLU between them.

    Args:
        model: a folder or a name on the Hugging Face Hub.

    Raises:
        EngineError: naming the model, if it has no such head.
    """
    weights: dict[str, Tensor] = {}
    for file, names in _find_head(model).items():
        with safe_open(file, framework="pt") as tensors:
            weights |= {name: tensors.get_tensor(name).float() for name in names}
    layers: list[nn.Module] = []
    for name in sorted(name for name in weights if name.endswith(".weight")):
        weight = weights[name]
        bias = weights.get(name.removesuffix("weight") + "bias")
        linear = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
        linear.load_state_dict({"weight": weight} | ({} if bias is None else {"bias": bias}))
        layers += [nn.ReLU(), linear] if layers else [linear]
    return nn.Sequential(*layers)


def require_served_head(model: str) -> None:
    """Refuse a PRM that vLLM cannot serve, before it is started.

    Args:
        model: a folder or a name on the Hugging Face Hub.

    Raises:
        ConfigurationError: naming the model and what to do, if its head is one of its own kind.
        EngineError: naming the model, if it has no head.
    """
    check_folder(model)
    names = sorted(name for found in _find_head(model).values() for name in found)
    if not all(name.startswith(_SERVED) for name in names):
        raise ConfigurationError(
            f"prm.model: vLLM does not serve {model!r}, whose head is called "
            f"{names[0].partition('.')[0]!r}; run it with engine=transformers (or with "
            "engine/scorer=transformers beside a policy on vLLM), or copy it with "
            "python -m actors.served_head and name the copy as prm.model"
        )


def _find_head(model: str) -> dict[str, list[str]]:
    """Names of the head's tensors, by the file that holds them.

    Raises:
        EngineError: naming the model, if there are none.
    """
    try:
        found = {file: _head_names(file) for file in _weight_files(model)}
    except (OSError, ValueError) as error:
        raise EngineError(f"cannot load the head of PRM {model!r}: {error}") from error
    if not any(found.values()):
        raise EngineError(
            f"cannot load the head of PRM {model!r}: no tensor is called "
            f"{' or '.join(f'{name}*' for name in HEADS)}; a language model that says its "
            "verdict needs another prm.family"
        )
    return found


def _head_names(file: str) -> list[str]:
    with safe_open(file, framework="pt") as tensors:
        return [name for name in tensors.keys() if name.startswith(HEADS)]  # noqa: SIM118


def _weight_files(model: str) -> list[str]:
    """Where the head may be."""
    path = Path(model).expanduser()
    source = str(path) if path.is_dir() else model
    index = cached_file(source, _INDEX, _raise_exceptions_for_missing_entries=False)
    if index is None:
        names = {_SINGLE}
    else:
        weight_map: dict[str, str] = json.loads(Path(index).read_text())["weight_map"]
        names = {file for name, file in weight_map.items() if name.startswith(HEADS)}
    return [str(cached_file(source, name)) for name in sorted(names)]
