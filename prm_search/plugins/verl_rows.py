"""Step scores in a row of `rm_scores`, the only thing that verl brings to an estimator.

verl takes one number per token from a rollout to the advantage estimator, and the sum of a row
for the reward that it logs, validates and filters with. So in a row

- the last token of a step has 2 + its score, and its first token takes that back,
- the sum is the outcome, or -1 if the source gives none.

A response of one token has (1 + score) / 1024 taken off its outcome, which must be 0 or 1.

Scores and outcomes are rounded to multiples of 2^-14, so that float32 adds them without an error
in any order: groups of equal outcomes stay equal.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise

import numpy as np

from prm_search.errors import ConfigurationError, ScoringError
from prm_search.rewards import Reward
from prm_search.rewards.credit.rule import FloatArray
from prm_search.types import StepScores

_GRID = 2.0**14
_STEP = 2.0
_SINGLE = 1024.0
_NO_OUTCOME = -1.0
_FOREIGN = (
    "the rewards of tokens hold no step scores: they come from elsewhere, or something was added "
    "to them, such as a KL penalty"
)


class ForeignRowError(ConfigurationError):
    """A row that holds no step scores."""


def row_of_info(info: Mapping[str, object], num_tokens: int) -> list[float]:
    """The row of a response, from what `PrmRewardManager` says about it.

    Args:
        info: `reward_extra_info`.
        num_tokens: of the response, at least 1.

    Raises:
        ConfigurationError: if another reward manager or function made it, or there are no scores.
    """
    if "step_sizes" not in info:
        raise ConfigurationError(
            "reward_extra_info has no step_sizes: the step agent loop needs "
            "reward.reward_manager.name=PrmRewardManager"
        )
    scores, sizes, outcome = (
        json.loads(str(info[name])) for name in ("step_scores", "step_sizes", "outcome")
    )
    if scores is None:
        raise ConfigurationError(
            "the reward server gives no step scores; start it with a PRM or a judge"
        )
    if sum(sizes) != num_tokens:
        raise ScoringError(f"the steps have {sum(sizes)} tokens, the response {num_tokens}")
    return encode(scores or [0.0], sizes, outcome)


def encode(scores: Sequence[float], sizes: Sequence[int], outcome: float | None) -> list[float]:
    """The row of a response.

    A step without a token of its own is one with the step after it, as far as it has one: the
    lower score counts. So are the first two steps if every step has a single token.

    Args:
        scores: [num_steps] in [0, 1], at least one.
        sizes: [num_steps] tokens of each step.
        outcome: in [0, 1]; None if the source gives none.

    Returns:
        [num_tokens]

    Raises:
        ScoringError: if there is one token and the outcome is neither 0 nor 1.
    """
    if len(scores) != len(sizes) or sum(sizes) == 0:
        raise ValueError(f"{len(scores)} scores for steps of {list(sizes)} tokens")
    steps = _with_tokens(list(zip(scores, sizes, strict=True)))
    total = _NO_OUTCOME if outcome is None else _rounded(outcome)
    codes = [_STEP + _rounded(score) for score, _ in steps]
    if sum(sizes) == 1:
        if not total.is_integer():
            raise ScoringError(f"a response of one token has no room for the outcome {outcome}")
        return [total - (1 + steps[0][0]) / _SINGLE]
    bounds = pairwise(accumulate((size for _, size in steps), initial=0))
    row = [0.0] * sum(sizes)
    for code, (start, end) in zip(codes, bounds, strict=True):
        row[end - 1] = code
        if end - start > 1:
            row[start] -= code
        else:
            total -= code
    # The first step of several tokens takes back what single tokens cannot, and has the outcome.
    row[next(place for place, value in enumerate(row) if value < 0)] += total
    return row


def decode(row: FloatArray) -> Reward:
    """The reward that a row holds; its spans are of tokens, the last one with the padding.

    Args:
        row: [num_tokens], with zeros behind.

    Raises:
        ForeignRowError: if it was not made by `encode`.
    """
    ends = np.flatnonzero(row >= _STEP)
    if not len(ends):
        total = math.ceil(row[0])
        score = round((total - float(row[0])) * _SINGLE - 1, 4)
        if not 0 <= score <= 1 or total > 1 or np.any(row[1:]):
            raise ForeignRowError(_FOREIGN)
        return _reward([0, len(row)], [score], total)
    total = float(row.sum())
    values = row[ends] - _STEP
    if not np.any(row < 0) or values.max() > 1 or not (total == _NO_OUTCOME or 0 <= total <= 1):
        raise ForeignRowError(_FOREIGN)
    bounds = [0, *(int(end) + 1 for end in ends[:-1]), len(row)]
    return _reward(bounds, values.tolist(), total)


def _reward(bounds: Sequence[int], values: Sequence[float], total: float) -> Reward:
    return Reward(
        spans=tuple(pairwise(bounds)),
        scores=StepScores(values=tuple(values)),
        outcome=None if total == _NO_OUTCOME else float(total),
    )


def _rounded(value: float) -> float:
    return round(value * _GRID) / _GRID


def _with_tokens(steps: Sequence[tuple[float, int]]) -> list[tuple[float, int]]:
    """Steps of at least one token, one of them of several if there are several tokens."""
    kept: list[tuple[float, int]] = []
    waiting = 1.0
    for score, size in steps:
        waiting = min(waiting, score)
        if size:
            kept.append((waiting, size))
            waiting = 1.0
    kept[-1] = (min(kept[-1][0], waiting), kept[-1][1])
    if len(kept) > 1 and all(size == 1 for _, size in kept):
        kept[:2] = [(min(kept[0][0], kept[1][0]), 2)]
    return kept
