"""Text and tokens, cut into steps.

A step ends where its separator ends, and owns it. So the steps' texts, joined, are the whole
text, and their token ids, joined, are all tokens. A token that reaches over a boundary belongs
to the step that it completes.
"""

from __future__ import annotations

from collections.abc import Sequence

from prm_search.errors import EmptyStepError
from prm_search.types import Step, StopReason


def segment(
    token_ids: Sequence[int],
    pieces: Sequence[str],
    *,
    logprobs: Sequence[float] = (),
    separator: str,
    stop_reason: StopReason,
) -> tuple[Step, ...]:
    """Cut generated tokens into steps, at least one.

    White space is no step of its own: it joins the step before it, or at the beginning the one
    after it. Only if there is nothing but white space, one step has no content.

    Args:
        token_ids: [num_tokens]
        pieces: [num_tokens] the text that each token adds; may be empty.
        logprobs: [num_tokens], or empty.
        separator: ends a step.
        stop_reason: why the last step ended; those before it ended with the separator.
    """
    spans = _spans(pieces, separator) or [(0, 0)]
    return tuple(
        Step(
            text="".join(pieces[start:end]),
            token_ids=tuple(token_ids[start:end]),
            logprobs=tuple(logprobs[start:end]),
            stop_reason=stop_reason if end == len(pieces) else StopReason.STEP,
        )
        for start, end in spans
    )


def split_text(text: str, separator: str) -> tuple[Step, ...]:
    """Cut a written solution into steps without tokens.

    Raises:
        EmptyStepError: if the text has no content.
    """
    if not text.strip():
        raise EmptyStepError(f"the solution has no content: {text!r}")
    *ended, last = text.split(separator)
    pieces = [piece + separator for piece in ended] + [last] * bool(last)
    return tuple(
        Step(
            text="".join(pieces[start:end]),
            stop_reason=StopReason.END if end == len(pieces) else StopReason.STEP,
        )
        for start, end in _spans(pieces, separator)
    )


def _spans(pieces: Sequence[str], separator: str) -> list[tuple[int, int]]:
    """Where each step begins and ends, as [start, end) over the pieces."""
    spans: list[tuple[int, int]] = []
    start, text, searched, has_content = 0, "", 0, False
    for end, piece in enumerate(pieces, start=1):
        text += piece
        has_content = has_content or bool(piece.strip())
        if end < len(pieces) and text.find(separator, searched) < 0:
            searched = max(searched, len(text) - len(separator) + 1)
        elif has_content:
            spans.append((start, end))
            start, text, searched, has_content = end, "", 0, False
        elif spans:
            spans[-1] = (spans[-1][0], end)
            start, text, searched = end, "", 0
        elif end == len(pieces):
            spans.append((start, end))
        else:
            searched = len(text)
    return spans
