"""A trajectory as a PRM reads it, with a name for each prefix that ends in a score."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate


@dataclass(frozen=True, kw_only=True, slots=True)
class RenderedSolution:
    """Token ids of a question and its steps."""

    token_ids: tuple[int, ...]
    positions: tuple[int, ...]
    """[num_steps] where each step is scored."""
    keys: tuple[bytes, ...]
    """[num_steps] a hash of all tokens up to and including that position."""


def render(question: Sequence[int], steps: Sequence[Sequence[int]]) -> RenderedSolution:
    """Append steps to a question.

    Args:
        question: token ids.
        steps: [num_steps] token ids of each, the last of them being where it is scored.
    """
    parts = [tuple(question), *(tuple(step) for step in steps)]
    ends = list(accumulate(map(len, parts)))
    digest = hashlib.blake2b(digest_size=16)
    keys: list[bytes] = []
    for part in parts:
        digest.update(array("q", part).tobytes())
        keys.append(digest.copy().digest())
    return RenderedSolution(
        token_ids=tuple(token for part in parts for token in part),
        positions=tuple(end - 1 for end in ends[1:]),
        keys=tuple(keys[1:]),
    )
