"""What a decoder need not compute when a few of its tokens are scored, and need not convert.

- In the *last layer* other tokens are nothing but keys and values. So attention, and all that comes
  after it, is computed only where a score is read.
- Under autocast each matrix converts its input to bfloat16. What several of them read (the output
  of a norm), and the angles of rotary positions, are converted once.
"""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

_LAYERS = ("Qwen2DecoderLayer", "Qwen3DecoderLayer", "LlamaDecoderLayer", "MistralDecoderLayer")
"""Layers of Transformers that are norm, attention, sum, norm, MLP, sum."""
_NORMS = ("input_layernorm", "post_attention_layernorm")


def score_only_where_asked(model: PreTrainedModel) -> bool:
    """Let the last layer compute the tokens that the model's forward names in `scored` alone.

    Without that argument the model remains what it was.

    Returns:
        Whether it can be done: the layers have a known form.
    """
    layers = getattr(model.base_model, "layers", None)
    if not isinstance(layers, nn.ModuleList) or type(layers[-1]).__name__ not in _LAYERS:
        return False
    layers[-1].forward = MethodType(_forward, layers[-1])
    return True


def _forward(
    layer: Any, hidden_states: Tensor, *, scored: Tensor | None = None, **inputs: Any
) -> Tensor:
    """As the layer's own. [1, num_tokens, hidden_size] -> [1, num_scored, hidden_size]"""
    if scored is None:
        return type(layer).forward(layer, hidden_states, **inputs)
    normed = layer.input_layernorm(hidden_states)
    attended, _ = layer.self_attn(hidden_states=normed, asked=scored, **inputs)
    hidden_states = hidden_states[:, scored] + attended[:, scored]
    return hidden_states + layer.mlp(layer.post_attention_layernorm(hidden_states))


def convert_once(model: PreTrainedModel) -> None:
    """Let norms of layers and rotary positions give what autocast would make of their outputs."""
    for name, part in model.named_modules():
        if name.rpartition(".")[2] in _NORMS or type(part).__name__.endswith("RotaryEmbedding"):
            part.register_forward_hook(_converted)


def _converted(
    module: nn.Module, inputs: object, output: Tensor | tuple[Tensor, ...]
) -> Tensor | tuple[Tensor, ...]:
    if isinstance(output, tuple):
        return tuple(_converted_one(part) for part in output)
    return _converted_one(output)


def _converted_one(output: Tensor) -> Tensor:
    device = output.device.type
    if torch.is_autocast_enabled(device):
        return output.to(torch.get_autocast_dtype(device))
    return output
