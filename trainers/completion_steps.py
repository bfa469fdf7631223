"""The tokens of a completion, cut into steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import tokenizers
from tokenizers.decoders import DecodeStream
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from prm_search.steps import segment
from prm_search.types import Step, StopReason

_INVALID_BYTES = "Invalid prefix encountered"


def completion_steps(
    tokenizer: PreTrainedTokenizerBase,
    token_ids: Sequence[int],
    *,
    separator: str,
    stop_reason: StopReason,
) -> tuple[Step, ...]:
    """The steps of a completion; a token that reaches over a boundary belongs to the former.

    Args:
        tokenizer: the policy's own.
        token_ids: [num_tokens], special ones, which have no text, included. At least one.
        separator: ends a step.
        stop_reason: why the completion ended.

    Returns:
        At least one step. One without content if the completion has none.
    """
    backend = cast("tokenizers.Tokenizer", getattr(tokenizer, "backend_tokenizer"))  # noqa: B009
    stream = DecodeStream(skip_special_tokens=True)
    pieces: list[str] = []
    for token in token_ids:
        try:
            piece = stream.step(backend, token)
        except Exception as error:
            if not str(error).startswith(_INVALID_BYTES):
                raise
            # Bytes that are no text have confused the stream; it must begin anew.
            stream = DecodeStream(skip_special_tokens=True)
            piece = stream.step(backend, token)
        pieces.append(piece or "")
    return segment(token_ids, pieces, separator=separator, stop_reason=stop_reason)
