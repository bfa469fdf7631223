"""Causal attention of packed examples on CPU: whole matrices of weights, and their derivative.

For some hundred tokens a matrix product of the library is faster than its fused kernel. The
derivative is written out, because what autograd would keep and convert costs as much again.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

_ROUND = 256
"""Masks are made for multiples of this, so that few are kept."""


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
    keys: slice
    before: slice | list[int]


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, rows: list[_Rows], scaling: float
    ) -> Tensor:
        attended = torch.empty_like(query)
        weights: list[Tensor] = []
        with torch.autocast("cpu", enabled=False):
            for row in rows:
                q, k, v = query[:, row.queries], key[:, row.keys], value[:, row.keys]
                future = _future(k.shape[1], k.dtype)[:, row.before]
                weights.append(torch.baddbmm(future, q, k.mT, alpha=scaling).softmax(-1))
                attended[:, row.queries] = weights[-1] @ v
        ctx.save_for_backward(query, key, value, *weights)
        ctx.rows, ctx.scaling = rows, scaling
        return attended

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        query, key, value, *weights = ctx.saved_tensors
        to_query, to_key, to_value = (torch.zeros_like(part) for part in (query, key, value))
        for row, weight in zip(ctx.rows, weights, strict=True):
            g = gradient[:, row.queries]
            to_value[:, row.keys] = weight.mT @ g
            to_weight = g @ value[:, row.keys].mT
            to_logit = torch.ops.aten._softmax_backward_data(to_weight, weight, -1, weight.dtype)
            to_query[:, row.queries] = to_logit @ key[:, row.keys]
            to_key[:, row.keys] = to_logit.mT @ query[:, row.queries]
        return to_query.mul_(ctx.scaling), to_key.mul_(ctx.scaling), to_value, None, None


def _all_rows(lengths: Sequence[int]) -> list[_Rows]:
    ends = list(accumulate(lengths))
    return [
        _Rows(queries=(part := slice(end - length, end)), keys=part, before=slice(None))
        for end, length in zip(ends, lengths, strict=True)
    ]


def _asked_rows(lengths: Sequence[int], asked: Sequence[int]) -> list[_Rows]:
    rows: list[_Rows] = []
    start = first = 0
    for length in lengths:
        last = bisect_left(asked, start + length, first)
        rows.append(
            _Rows(
                queries=slice(first, last),
                keys=slice(start, start + length),
                before=[place - start for place in asked[first:last]],
            )
        )
        start, first = start + length, last
    return rows


def _future(length: int, dtype: torch.dtype) -> Tensor:
    """What is added to logits: minus infinity for later tokens. [1, length, length]"""
    return _rounded_future(-(-length // _ROUND) * _ROUND, dtype)[:, :length, :length]


@lru_cache
def _rounded_future(length: int, dtype: torch.dtype) -> Tensor:
    with torch.inference_mode(False):
        return torch.full((1, length, length), float("-inf"), dtype=dtype).triu(1)
