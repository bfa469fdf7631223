"""From advantages of steps to advantages of tokens."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from prm_search.rewards.credit.group import Advantages
from prm_search.rewards.credit.rule import FloatArray
from prm_search.rewards.reward import Span


def spread_over_spans(
    advantages: Advantages, spans: Sequence[Span], offsets: Sequence[Span]
) -> FloatArray:
    """The advantage of each token, from where its text stands.

    A token that reaches over a boundary belongs to the step that it completes: the one that
    holds its last character. A token without text (part of a character, the end of the answer)
    belongs to the step at its place, and after the last step to that one.

    Args:
        advantages: of the rollout.
        spans: [num_steps] `Reward.spans`.
        offsets: [num_tokens] [start, end) of each token in characters of the completion.

    Returns:
        [num_tokens]
    """
    if len(spans) != len(advantages.steps):
        raise ValueError(f"{len(advantages.steps)} advantages for {len(spans)} steps")
    if not spans:
        return np.full(len(offsets), advantages.rest)
    last_characters = [max(start, end - 1) for start, end in offsets]
    steps = np.searchsorted([end for _, end in spans], last_characters, side="right")
    return np.array(advantages.steps)[np.minimum(steps, len(spans) - 1)]


def spread_over_sizes(advantages: Advantages, sizes: Sequence[int]) -> FloatArray:
    """The advantage of each token, from how many tokens each step has.

    Args:
        advantages: of the rollout.
        sizes: [num_steps] tokens of each step; for an empty completion [1], all its tokens.

    Returns:
        [num_tokens]
    """
    values = advantages.steps or (advantages.rest,)
    if len(sizes) != len(values):
        raise ValueError(f"{len(values)} advantages for {len(sizes)} steps")
    return np.repeat(np.array(values), sizes)


def pad(rows: Sequence[FloatArray], length: int | None = None) -> FloatArray:
    """Advantages of several rollouts as one matrix, with 0 after the last token of each.

    Args:
        rows: [num_rollouts], each [num_tokens].
        length: of a row; None means that of the longest.

    Returns:
        [num_rollouts, length]

    Raises:
        ValueError: if a row is longer.
    """
    longest = max((len(row) for row in rows), default=0)
    length = longest if length is None else length
    if longest > length:
        raise ValueError(f"a rollout has {longest} tokens and does not fit into {length}")
    matrix = np.zeros((len(rows), length))
    for index, row in enumerate(rows):
        matrix[index, : len(row)] = row
    return matrix
