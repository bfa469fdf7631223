"""From text to a model's tokens and back, the same for every engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import tokenizers
from tokenizers.decoders import DecodeStream
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from prm_search.errors import EngineError
from prm_search.tokens import text_tokens
from prm_search.types import Trajectory

_CONTEXT = 8
"""Tokens before a text that decide how it begins: enough for any multi-byte character."""
_INVALID_BYTES = "Invalid prefix encountered"


def load_tokenizer(model: str) -> PreTrainedTokenizerBase:
    """A model's tokenizer.

    Raises:
        EngineError: if it cannot be loaded.
    """
    try:
        return AutoTokenizer.from_pretrained(model)
    except (OSError, ValueError) as error:
        raise EngineError(f"cannot load the tokenizer of model {model!r}: {error}") from error


def prefix_tokens(tokenizer: PreTrainedTokenizerBase, prefix: Trajectory) -> tuple[int, ...]:
    """The tokens of a prefix's steps: those that were generated, or else those of the text."""
    return tuple(
        token
        for step in prefix.steps
        for token in step.token_ids or text_tokens(tokenizer, step.text)
    )


def decode_pieces(
    tokenizer: PreTrainedTokenizerBase, prompt: Sequence[int], token_ids: Sequence[int]
) -> list[str]:
    """The text that each generated token adds after a prompt; special tokens add none.

    A character of several tokens is added by the last of them.
    """
    backend = cast("tokenizers.Tokenizer", tokenizer.backend_tokenizer)
    stream = DecodeStream(ids=list(prompt[-_CONTEXT:]), skip_special_tokens=True)
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
    return pieces
