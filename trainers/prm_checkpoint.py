"""The model that a training gives: safetensors that stock vLLM and Transformers load."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import torch
from accelerate import Accelerator
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from prm_search.errors import TrainingError
from trainers.checkpoints import replace_folder
from trainers.prm_settings import Lora
from trainers.step_model import StepModel, merged


def full_weights(model: nn.Module, accelerator: Accelerator, lora: Lora) -> dict[str, Tensor]:
    """The weights of the model of Transformers, gathered from all processes, on the CPU.

    Every process has to call this; what it gives counts in the main one.
    """
    if lora.rank:
        return merged(cast("StepModel", accelerator.unwrap_model(model)).model, lora)
    state = cast("dict[str, Tensor]", accelerator.get_state_dict(model) or {})
    return {name.removeprefix("model."): weight.cpu() for name, weight in state.items()}


def write_model(
    folder: Path,
    model: PreTrainedModel,
    weights: dict[str, Tensor],
    tokenizer: PreTrainedTokenizerBase,
    *,
    dtype: torch.dtype,
    card: str,
) -> None:
    """Write a model with its tokenizer and card, in the place of one that is there.

    Args:
        folder: complete afterwards, or as it was before.
        model: says which architecture it is; its own weights are not looked at.
        weights: of the model.
        tokenizer: the model's own.
        dtype: the weights are rounded to.
        card: Markdown.

    Raises:
        TrainingError: if it cannot be written.
    """
    draft = folder.with_name(f".draft_{folder.name}")
    tied = set(getattr(model, "all_tied_weights_keys", None) or ())
    rounded = {
        name: weight.to(dtype) if weight.is_floating_point() else weight
        for name, weight in weights.items()
        if name not in tied
    }
    try:
        model.save_pretrained(draft, state_dict=rounded)
        tokenizer.save_pretrained(draft)
        (draft / "README.md").write_text(card)
        _set_config(
            draft / "config.json",
            dtype=str(dtype).removeprefix("torch."),
            architectures=[type(model).__name__],
        )
        replace_folder(draft, folder)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise TrainingError(
            f"cannot write the model to {folder}: {error}. Make room and start the same run_dir "
            "again: the training itself is kept"
        ) from error


def _set_config(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values, indent=2) + "\n")
