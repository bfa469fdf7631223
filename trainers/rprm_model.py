"""The language model that becomes an R-PRM."""

from __future__ import annotations

from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM, PreTrainedModel

from prm_search.errors import ConfigurationError, EngineError
from prm_search.model_folder import check_folder
from trainers.prm_settings import Lora
from trainers.rprm_settings import AttentionName


def load_language_model(name: str, dtype: torch.dtype, attention: AttentionName) -> PreTrainedModel:
    """A language model with its weights.

    Raises:
        ConfigurationError: naming it, if it cannot be loaded.
    """
    options: dict[str, Any] = {}
    if attention is not AttentionName.auto:
        options["attn_implementation"] = str(attention)
    try:
        check_folder(name)
        return AutoModelForCausalLM.from_pretrained(
            name, dtype=dtype, use_safetensors=True, trust_remote_code=False, **options
        )
    except EngineError as error:
        raise ConfigurationError(f"model: {error}") from error
    except (OSError, ValueError, ImportError) as error:
        raise ConfigurationError(f"model: cannot load {name!r}: {error}") from error


def quiet() -> None:
    """Keep Transformers from talking into the progress."""
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


def adapters(lora: Lora) -> Any:
    """What peft makes of the settings; None trains all weights.

    Raises:
        ConfigurationError: if peft is not installed.
    """
    if not lora.rank:
        return None
    try:
        from peft import LoraConfig
    except ImportError as error:
        raise ConfigurationError("lora needs peft; pip install 'prm-search[train]'") from error
    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # pyright: ignore[reportArgumentType]  # it only divides it
        lora_dropout=lora.dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
