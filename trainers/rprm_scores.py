"""How often a finished R-PRM's verdict is right, for its card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import GenerationConfig, PreTrainedModel

from prm_search.bootstrapping.rows import AnalysisRow
from prm_search.prms.generative import GenerativeFamily, WrittenVerdict
from trainers.rprm_rows import Encoder


@dataclass(frozen=True, kw_only=True, slots=True)
class VerdictScore:
    """Verdicts on steps, one greedy analysis each. An analysis without a verdict is not right."""

    num_right: int
    """Steps that are labeled right."""
    num_wrong: int
    """Steps that are labeled wrong."""
    num_hits_right: int
    """Steps labeled right, of which it says so."""
    num_hits_wrong: int
    """Steps labeled wrong, of which it says so."""
    num_unreadable: int
    """Analyses without a verdict that can be read."""


def score_verdicts(
    model: PreTrainedModel,
    rows: Sequence[AnalysisRow],
    *,
    encoder: Encoder,
    family: GenerativeFamily,
    rows_per_forward: int,
) -> VerdictScore:
    """Let a model analyse steps greedily.

    Args:
        model: in evaluation mode.
        rows: whose messages the model gets; their analyses are not looked at, but for how long
            an analysis may become.
        encoder: with the model's tokenizer.
        family: reads the verdicts.
        rows_per_forward: at least 1.
    """
    longest = max((len(encoder.analysis(row.completion)) for row in rows), default=0)
    verdicts: list[bool | None] = []
    # Of similar length together; the order does not matter for a count.
    ordered = sorted(rows, key=lambda row: len(row.prompt))
    for start in range(0, len(ordered), rows_per_forward):
        batch = ordered[start : start + rows_per_forward]
        texts = _greedy(model, [row.prompt for row in batch], encoder, 2 * longest)
        for text in texts:
            read = None if text is None else family.read(text)
            is_readable = isinstance(read, WrittenVerdict)
            verdicts.append(read.is_right if is_readable else None)
    found = list(zip([row.is_right for row in ordered], verdicts, strict=True))
    return VerdictScore(
        num_right=sum(label for label, _ in found),
        num_wrong=sum(not label for label, _ in found),
        num_hits_right=sum(label and verdict is True for label, verdict in found),
        num_hits_wrong=sum(not label and verdict is False for label, verdict in found),
        num_unreadable=sum(verdict is None for _, verdict in found),
    )


def _greedy(
    model: PreTrainedModel, messages: Sequence[str], encoder: Encoder, max_new_tokens: int
) -> list[str | None]:
    """The model's likeliest answers; None for one that does not end."""
    tokenizer = encoder.tokenizer
    prompts = [encoder.message(message) for message in messages]
    width = max(map(len, prompts))
    end = encoder.end
    tokens = torch.full((len(prompts), width), end)
    mask = torch.zeros_like(tokens)
    for row, prompt in enumerate(prompts):
        tokens[row, width - len(prompt) :] = torch.tensor(prompt)
        mask[row, width - len(prompt) :] = 1
    generate: Any = model.generate
    with torch.no_grad():
        written = generate(
            input_ids=tokens.to(model.device),
            attention_mask=mask.to(model.device),
            generation_config=GenerationConfig(
                max_new_tokens=max_new_tokens,
                do_sample=False,
                eos_token_id=end,
                pad_token_id=end,
            ),
        )[:, width:].tolist()
    return [
        str(tokenizer.decode(answer[: answer.index(end)], skip_special_tokens=True))
        if end in answer
        else None
        for answer in written
    ]
