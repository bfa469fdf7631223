"""Reinforcement learning as far as it needs no framework: rollouts, rewards, evaluation.

problem ──sampler──► trajectory ──reward──► rollout      each one on its own, no barrier
"""

from __future__ import annotations

from prm_search.rl.clock import RolloutTimes
from prm_search.rl.collector import (
    Collected,
    Collector,
    Request,
    SampleCollector,
    VersionedGenerator,
)
from prm_search.rl.rollout_log import KnownRewards, RewardKey, RolloutLog
from prm_search.rl.rollouts import Rollout, TrainableGenerator
from prm_search.rl.tree_collector import TreeCollector

__all__ = [
    "Collected",
    "Collector",
    "KnownRewards",
    "Request",
    "RewardKey",
    "Rollout",
    "RolloutLog",
    "RolloutTimes",
    "SampleCollector",
    "TrainableGenerator",
    "TreeCollector",
    "VersionedGenerator",
]
