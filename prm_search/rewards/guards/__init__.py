"""What to watch while a policy is trained against a reward."""

from __future__ import annotations

from prm_search.rewards.guards.failures import require_rewards
from prm_search.rewards.guards.hack_alarm import HackAlarm, Hacking
from prm_search.rewards.guards.repetition import repeated_steps, repetition
from prm_search.rewards.guards.telemetry import measure

__all__ = [
    "HackAlarm",
    "Hacking",
    "measure",
    "repeated_steps",
    "repetition",
    "require_rewards",
]
