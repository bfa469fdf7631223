"""How models of the transformers library are loaded."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import PreTrainedModel

from actors.transformers_options import TransformersOptions
from prm_search.errors import EngineError
from prm_search.model_folder import check_folder

LOADING = threading.Lock()
"""While it loads, transformers makes every new tensor of the process one without data, so that
whatever is loaded at the same time would come out empty."""


def torch_device(options: TransformersOptions) -> torch.device:
    """The device that a model runs on.

    Raises:
        EngineError: if it is not there.
    """
    if options.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(options.device)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise EngineError(
            f"options.device is {options.device}, but this process sees "
            f"{torch.cuda.device_count()} CUDA devices"
        )
    return device


def load_model(
    model_class: Any, model: str, *, dtype: str, options: TransformersOptions
) -> PreTrainedModel:
    """A model on its device, ready for inference.

    Args:
        model_class: an Auto class of transformers.
        model: a folder or a name on the Hugging Face Hub.
        dtype: auto, bfloat16, float16 or float32.
        options: where it runs.

    Raises:
        EngineError: naming the model, if it cannot be loaded.
    """
    check_folder(model)
    device = torch_device(options)
    path = Path(model).expanduser()
    try:
        with LOADING:
            loaded = model_class.from_pretrained(
                path if path.is_dir() else model,
                dtype=dtype,
                use_safetensors=True,
                trust_remote_code=False,
            )
    except (OSError, ValueError, RuntimeError) as error:
        raise EngineError(f"cannot load model {model!r}: {error}") from error
    return loaded.to(device).eval()


def replace_weights(model: PreTrainedModel, folder: str) -> None:
    """Put the weights in a folder, or of a name on the Hub, in the place of a model's.

    Raises:
        EngineError: if they are not those of such a model.
    """
    try:
        path = Path(folder).expanduser()
        if not path.is_dir() and folder == model.name_or_path:
            path = Path(snapshot_download(folder, allow_patterns="*.safetensors"))
        files = sorted(path.glob("*.safetensors"))
        weights = {name: value for file in files for name, value in load_file(file).items()}
        missing, unknown = model.load_state_dict(weights, strict=False)
    except (OSError, RuntimeError, SafetensorError) as error:
        raise EngineError(f"cannot load the weights at {folder}: {error}") from error
    tied = set(getattr(model, "all_tied_weights_keys", None) or ())
    if wrong := [*(name for name in missing if name not in tied), *unknown]:
        raise EngineError(f"{folder} holds weights of another model: {', '.join(wrong[:5])}")


def context_length(model: PreTrainedModel, max_model_len: int | None) -> int:
    """Tokens that a model takes: its own limit, or the one set for it."""
    return max_model_len or int(model.config.get_text_config().max_position_embeddings)
