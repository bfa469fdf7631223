"""How a token is drawn from logits."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from actors.completion import Sampling


def draw_tokens(logits: Tensor, samplings: Sequence[Sampling], uniforms: Sequence[float]) -> Tensor:
    """Draw one token for each row.

    Each row is drawn by its own number alone (inverse of the cumulative distribution), so that a
    sample does not depend on the others in the batch. First top_k, then top_p, as in vLLM.

    Args:
        logits: [num_rows, vocabulary], float32.
        samplings: [num_rows]
        uniforms: [num_rows] random numbers in [0, 1).

    Returns:
        Token ids. [num_rows]
    """
    greedy = logits.argmax(-1)
    if all(sampling.temperature == 0 for sampling in samplings):
        return greedy

    def column(values: Sequence[float]) -> Tensor:
        return torch.tensor(values, device=logits.device, dtype=torch.float64)[:, None]

    temperatures = column([sampling.temperature or 1.0 for sampling in samplings])
    scaled = logits.double() / temperatures
    order: Tensor | None = None
    if any(sampling.top_k is not None or sampling.top_p < 1 for sampling in samplings):
        scaled, order = scaled.sort(dim=-1, descending=True)
        ranks = torch.arange(logits.shape[-1], device=logits.device)
        top_k = column([sampling.top_k or logits.shape[-1] for sampling in samplings])
        scaled = scaled.masked_fill(ranks >= top_k, -torch.inf)
    probabilities = scaled.softmax(-1)
    if order is not None:
        before = probabilities.cumsum(-1) - probabilities
        top_p = column([sampling.top_p for sampling in samplings])
        probabilities = probabilities.masked_fill((before >= top_p) & (before > 0), 0.0)
    cumulative = probabilities.cumsum(-1)
    # Rounding must not carry the target to the total, past the last token that is possible.
    targets = column(uniforms) * (1 - 1e-9) * cumulative[:, -1:]
    drawn = torch.searchsorted(cumulative, targets, right=True)
    if order is not None:
        drawn = order.gather(-1, drawn)
    is_greedy = torch.tensor(
        [sampling.temperature == 0 for sampling in samplings], device=logits.device
    )
    return torch.where(is_greedy, greedy, drawn[:, 0])
