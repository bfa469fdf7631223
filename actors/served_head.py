"""Copies a PRM so that vLLM serves it: `python -m actors.served_head MODEL FOLDER`.

vLLM serves a token classifier, whose head is one linear layer called `score`. The heads of
Skywork-o1 and ReasonEval are that but for their names.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import snapshot_download
from safetensors import safe_open
from safetensors.torch import save_file
from transformers.models.auto.modeling_auto import MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES

from actors.prm_head import HEADS, load_head
from prm_search.errors import EngineError
from prm_search.model_folder import check_folder

_INDEX = "model.safetensors.index.json"
_PATTERNS = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]


def write_served(model: str, folder: Path) -> None:
    """Copy a PRM as a token classifier.

    Args:
        model: a folder or a name on the Hugging Face Hub.
        folder: where to; must not exist.

    Raises:
        EngineError: naming the model, if it has no head of one linear layer, or if no token
            classifier is of its type.
        FileExistsError: if the folder exists.
    """
    check_folder(model)
    layers = load_head(model)
    path = Path(model).expanduser()
    source = path if path.is_dir() else Path(snapshot_download(model, allow_patterns=_PATTERNS))
    config = json.loads((source / "config.json").read_text())
    kind = MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES.get(config["model_type"])
    if len(layers) != 1 or kind is None:
        raise EngineError(
            f"{model!r} cannot be made a token classifier: its head has {len(layers)} layers, and "
            f"its type is {config['model_type']}"
        )
    folder.mkdir(parents=True)
    for file in sorted(item for pattern in _PATTERNS for item in source.glob(pattern)):
        if file.suffix == ".safetensors":
            _copy_weights(file, folder / file.name)
        elif file.name not in ("config.json", _INDEX):
            shutil.copy(file, folder)
    num_labels = len(next(layers.parameters()))
    config |= {
        "architectures": [kind],
        "id2label": {str(index): f"LABEL_{index}" for index in range(num_labels)},
        "label2id": {f"LABEL_{index}": index for index in range(num_labels)},
    }
    config.pop("auto_map", None)
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    if (source / _INDEX).exists():
        index = json.loads((source / _INDEX).read_text())
        names = {name: _served_name(name) for name in index["weight_map"]}
        index["weight_map"] = {
            served: index["weight_map"][name] for name, served in names.items() if served
        }
        (folder / _INDEX).write_text(json.dumps(index, indent=2))


def _copy_weights(source: Path, target: Path) -> None:
    with safe_open(source, framework="pt") as tensors:
        names = {name: _served_name(name) for name in tensors.keys()}  # noqa: SIM118
        weights = {served: tensors.get_tensor(name) for name, served in names.items() if served}
    if weights:  # a file may have held the output layer alone
        save_file(weights, target, metadata={"format": "pt"})


def _served_name(name: str) -> str | None:
    """What a tensor is called in the copy; None if it has no place there."""
    if name.startswith(HEADS):
        return f"score.{name.rpartition('.')[2]}"
    return None if name.startswith("lm_head.") else name


def main(arguments: Sequence[str] | None = None) -> None:
    """Copy the PRM that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="a folder or a name on the Hugging Face Hub")
    parser.add_argument("folder", type=Path, help="where to; must not exist")
    given = parser.parse_args(arguments)
    write_served(given.model, given.folder)
    print(f"{given.folder} is {given.model} as vLLM serves it: prm.model={given.folder}")


if __name__ == "__main__":
    main()
