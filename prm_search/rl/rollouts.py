"""What a policy wrote, and what it was rewarded with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from prm_search.protocols import Generator
from prm_search.rewards.reward import Reward
from prm_search.types import Trajectory


class TrainableGenerator(Generator, Protocol):
    """A policy whose weights can be replaced while it runs."""

    async def update_weights(self, folder: str, version: int) -> None:
        """Put other weights in the place of the model's.

        Nothing happens if they are there already. Samples in progress are finished first, so
        that each comes from one set of weights, which `Generation.policy_version` names.

        Args:
            folder: with the weights as safetensors, where the engine runs.
            version: of these weights, above 0.

        Raises:
            EngineError: if they cannot be loaded.
        """
        ...

    async def restore_weights(self) -> None:
        """Go back to the weights that the engine started with: version 0."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Rollout:
    """A finished trajectory and its reward."""

    trajectory: Trajectory
    reward: Reward
    policy_version: int
    """Of the weights that it was drawn with."""
    index: int
    """0-based place within the group of its problem."""
