"""Causal attention in which the examples of a pack do not see each other.

Registered with Transformers under the name `packed`, so that every model that takes its
attention from there can be trained on packs. The lengths of the examples come as an argument of
the model's forward.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel

from prm_search.errors import ConfigurationError
from trainers.cpu_attention import attend

NAME = "packed"

_LONGEST_MATRIX = 768
"""On CPU, up to this many tokens the whole matrix of weights is faster than the fused kernel."""
_UNSUPPORTED = ("softcap", "s_aux", "position_bias")
"""What some models add to attention, and this one has not."""


def use_packed_attention(model: PreTrainedModel) -> None:
    """Let a model attend within the examples of a pack only.

    Raises:
        ConfigurationError: if its attention cannot be replaced.
    """
    AttentionInterface.register(NAME, packed_attention)
    for part in model.modules():
        if isinstance(part, PreTrainedModel) and not part._can_set_attn_implementation():
            raise ConfigurationError(
                f"{type(part).__name__} has an attention of its own that cannot be packed; "
                "choose a model that uses the attention interface of Transformers"
            )
    model.set_attn_implementation(NAME)


def packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    lengths: Sequence[int],
    scaling: float,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    asked: Tensor | None = None,
    **others: object,
) -> tuple[Tensor, None]:
    """Attention of a pack, as Transformers calls it.

    Args:
        module: the layer.
        query: [1, num_heads, num_tokens, head_size]
        key: [1, num_key_value_heads, num_tokens, head_size]
        value: like key.
        attention_mask: not looked at; `lengths` say it all.
        lengths: tokens of each example. [num_examples]
        scaling: of the products of queries and keys.
        dropout: of the attention weights, in [0, 1).
        sliding_window: how far a token sees; None means without limit.
        asked: [num_asked] places of the tokens that count; None means all.
        others: whatever else the model hands on.

    Returns:
        [1, num_tokens, num_heads, head_size], of no meaning for tokens that do not count.
    """
    unsupported = [name for name in _UNSUPPORTED if others.get(name) is not None]
    if unsupported:
        raise ConfigurationError(f"packed attention has no {unsupported[0]}, which the model needs")
    if sliding_window is not None and max(lengths) > sliding_window:
        raise ConfigurationError(
            f"an example has {max(lengths)} tokens, more than the model's sliding window of "
            f"{sliding_window}; lower data.max_tokens"
        )
    is_half = _working_type(query) in (torch.bfloat16, torch.float16)
    if query.is_cuda and is_half and not dropout:
        return _fused(query, key, value, lengths, scaling), None
    num_groups = query.shape[1] // key.shape[1]
    if num_groups > 1:
        key = key.repeat_interleave(num_groups, dim=1)
        value = value.repeat_interleave(num_groups, dim=1)
    if not (query.is_cuda or dropout) and max(lengths) <= _LONGEST_MATRIX:
        dtype = _working_type(query)
        query, key, value = (part[0].to(dtype) for part in (query, key, value))
        places = None if asked is None else asked.unique().tolist()
        attended = attend(query, key, value, lengths, scaling, places)
        return attended.transpose(0, 1)[None], None
    parts = [
        _single(q, k, v, scaling, dropout)
        for q, k, v in zip(
            query.split(list(lengths), dim=2),
            key.split(list(lengths), dim=2),
            value.split(list(lengths), dim=2),
            strict=True,
        )
    ]
    return torch.cat(parts, dim=2).transpose(1, 2), None


def _single(query: Tensor, key: Tensor, value: Tensor, scaling: float, dropout: float) -> Tensor:
    """Causal attention of one example. [1, num_heads, length, head_size]"""
    return nn.functional.scaled_dot_product_attention(
        query, key, value, dropout_p=dropout, is_causal=True, scale=scaling
    )


def _working_type(query: Tensor) -> torch.dtype:
    """What products are computed in. Autocast does not know functions that are not torch's."""
    device = query.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else query.dtype


def _fused(
    query: Tensor, key: Tensor, value: Tensor, lengths: Sequence[int], scaling: float
) -> Tensor:
    """FlashAttention over all examples at once. [1, num_tokens, num_heads, head_size]"""
    from torch.nn.attention.varlen import varlen_attn  # not there before torch 2.10

    dtype = _working_type(query)
    query, key, value = (part[0].transpose(0, 1).to(dtype) for part in (query, key, value))
    ends = torch.tensor([0, *lengths]).cumsum(0).to(device=query.device, dtype=torch.int32)
    attended = varlen_attn(
        query,
        key,
        value,
        ends,
        ends,
        max(lengths),
        max(lengths),
        scale=scaling,
        window_size=(-1, 0),
        enable_gqa=query.shape[1] != key.shape[1],
    )
    assert isinstance(attended, Tensor)
    return attended[None]
