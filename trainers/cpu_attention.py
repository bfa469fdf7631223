"""Causal attention of packed examples on CPU: whole matrices of weights, and their derivative.

For some hundred tokens a matrix product of the library is faster than its fused kernel. The
derivative is written out, because what autograd would keep and convert costs as much again.

The library prepares a kernel for each shape that it meets, which takes longer than the product. So
shapes are rounded up: an example is computed together with tokens behind it that count nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn

_TOKENS = 32
"""Shapes of whole examples are multiples of this,"""
_ASKED = 16
"""and those of the tokens that are asked for, of this."""


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    lengths: Sequence[int],
    scaling: float,
    asked: Sequence[int] | None = None,
) -> Tensor:
    """Attention of each example to its own past.

    Args:
        query: [num_heads, num_tokens, head_size]
        key: of the same shape and type.
        value: of the same shape and type.
        lengths: tokens of each example. [num_examples]
        scaling: of the products of queries and keys.
        asked: increasing places of the only tokens whose attention is asked for; None means all.

    Returns:
        [num_heads, num_tokens, head_size], zero where it is not asked for.
    """
    if asked is None:
        return _Attention.apply(query, key, value, _all_rows(lengths), scaling)  # pyright: ignore
    rows = _asked_rows(lengths, asked)
    places = torch.tensor(asked, dtype=torch.long)
    attended = _Attention.apply(query[:, places], key, value, rows, scaling)
    return torch.zeros_like(value).index_copy(1, places, attended)  # pyright: ignore


@dataclass(frozen=True, kw_only=True, slots=True)
class _Rows:
    """An example: where its queries and keys are, and how many keys come before each query."""

    queries: slice
    """Rounded up, so that those of the next example may be among them."""
    num_queries: int
    keys: slice
    """Likewise."""
    before: slice | list[int]


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, rows: list[_Rows], scaling: float
    ) -> Tensor:
        query, key, value = (
            nn.functional.pad(part, (0, 0, 0, _TOKENS)) for part in (query, key, value)
        )
        attended = torch.empty_like(query)
        weights: list[Tensor] = []
        with torch.autocast("cpu", enabled=False):
            for row in rows:
                q, k, v = query[:, row.queries], key[:, row.keys], value[:, row.keys]
                future = _future(k.shape[1], k.dtype)[:, row.before]
                weight = torch.baddbmm(future, q, k.mT, alpha=scaling).softmax(-1)
                # With that, nothing of them comes back in the derivative either.
                weight[:, row.num_queries :] = 0
                weights.append(weight)
                # What is written here behind the example is overwritten by the next one.
                attended[:, row.queries] = weight @ v
        ctx.save_for_backward(query, key, value, *weights)
        ctx.rows, ctx.scaling = rows, scaling
        return attended[:, :-_TOKENS]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, *weights = ctx.saved_tensors
        gradient = nn.functional.pad(gradients[0], (0, 0, 0, _TOKENS))
        to_query, to_key, to_value = (torch.zeros_like(part) for part in (query, key, value))
        for row, weight in zip(ctx.rows, weights, strict=True):
            g = gradient[:, row.queries]
            to_value[:, row.keys] = weight.mT @ g
            to_weight = g @ value[:, row.keys].mT
            to_logit = torch.ops.aten._softmax_backward_data(to_weight, weight, -1, weight.dtype)
            to_query[:, row.queries] = to_logit @ key[:, row.keys]
            to_key[:, row.keys] = to_logit.mT @ query[:, row.queries]
        to_query, to_key = to_query.mul_(ctx.scaling), to_key.mul_(ctx.scaling)
        return *(part[:, :-_TOKENS] for part in (to_query, to_key, to_value)), None, None


def _all_rows(lengths: Sequence[int]) -> list[_Rows]:
    ends = accumulate(lengths)
    rows: list[_Rows] = []
    for end, length in zip(ends, lengths, strict=True):
        part = slice(end - length, end - length + _rounded(length, _TOKENS))
        rows.append(_Rows(queries=part, num_queries=length, keys=part, before=slice(None)))
    return rows


def _asked_rows(lengths: Sequence[int], asked: Sequence[int]) -> list[_Rows]:
    rows: list[_Rows] = []
    start = first = 0
    for length in lengths:
        last = bisect_left(asked, start + length, first)
        number = _rounded(last - first, _ASKED)
        before = [place - start for place in asked[first:last]]
        rows.append(
            _Rows(
                queries=slice(first, first + number),
                num_queries=last - first,
                keys=slice(start, start + _rounded(length, _TOKENS)),
                before=before + [0] * (number - len(before)),
            )
        )
        start, first = start + length, last
    return rows


def _rounded(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


@lru_cache(maxsize=64)
def _future(length: int, dtype: torch.dtype) -> Tensor:
    """What is added to logits: minus infinity for later tokens. [1, length, length]"""
    with torch.inference_mode(False):  # or a later training could not use it
        return torch.full((1, length, length), float("-inf"), dtype=dtype).triu(1)
