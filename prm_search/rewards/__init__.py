"""Rewards for RL: where they come from, who is credited with them, and what to watch.

Trajectory --source--> Reward = step scores with spans, and an outcome
Rewards of one problem --credit--> Advantages of steps --spread--> advantages of tokens
"""

from __future__ import annotations

from prm_search.rewards.completion import read_completion
from prm_search.rewards.micro_batching import MicroBatcher, MicroBatching
from prm_search.rewards.reward import Reward, RewardSource, Span, step_spans

__all__ = [
    "MicroBatcher",
    "MicroBatching",
    "Reward",
    "RewardSource",
    "Span",
    "read_completion",
    "step_spans",
]
