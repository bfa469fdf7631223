"""Advantages of tokens from rows of rewards that hold step scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from prm_search.errors import ConfigurationError
from prm_search.plugins.verl_rows import decode
from prm_search.rewards.credit import Credit, spread_over_sizes
from prm_search.rewards.credit.rule import FloatArray


class LoneRolloutsError(ConfigurationError):
    """There is nothing that rollouts could be compared with."""


def advantages_of_rows(
    token_level_rewards: Any, response_mask: Any, *, index: Sequence[object], credit: Credit
) -> tuple[Any, Any]:
    """Advantages of tokens and, as they have no values to be compared with, the same as returns.

    Rows without any reward are what frameworks fill batches with, and get no advantage.

    Args:
        token_level_rewards: [num_rows, num_tokens] tensor of rows by `verl_rows.encode`.
        response_mask: [num_rows, num_tokens] tensor, 1 for tokens of the policy.
        index: [num_rows] the same for rollouts of the same problem, in any order.
        credit: how rewards become advantages.

    Raises:
        ForeignRowError: if the rows hold no step scores, or something else was added to them.
        LoneRolloutsError: if no problem has several rollouts.
    """
    rows = np.array(token_level_rewards.tolist(), dtype=np.float64)
    groups: dict[object, list[int]] = {}
    for place in np.flatnonzero(rows.any(axis=1)).tolist():
        groups.setdefault(index[place], []).append(place)
    if groups and all(len(places) == 1 for places in groups.values()):
        raise LoneRolloutsError(
            "each problem has a single rollout and nothing to be compared with; draw at least 2"
        )
    advantages = np.zeros_like(rows)
    for places in groups.values():
        advantages[places] = _of_one_problem(credit, rows[places])
    tensor = token_level_rewards.new_tensor(advantages.tolist()) * response_mask
    return tensor, tensor


def _of_one_problem(credit: Credit, rows: FloatArray) -> FloatArray:
    """[num_rollouts, num_tokens]"""
    rewards = [decode(row) for row in rows]
    credited = credit(rewards)
    return np.array(
        [
            spread_over_sizes(one, [end - start for start, end in reward.spans])
            for one, reward in zip(credited, rewards, strict=True)
        ]
    )
