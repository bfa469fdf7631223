"""What a reward server consists of, and how it is built from a composed configuration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from omegaconf import DictConfig

from prm_search.budget import Role
from prm_search.building import build_part, engine_factory, refuse_unknown, require_complete
from prm_search.engines import Cluster, Engine
from prm_search.errors import ConfigurationError
from prm_search.grading import GraderSettings
from prm_search.plugins.reading import Reading
from prm_search.rewards import MicroBatching
from prm_search.rewards.credit import Credit, GroupCredit
from prm_search.rewards.recipes import RewardRecipe
from prm_search.serving.settings import ServerSettings

_PARTS = {Role.PRM: "scorer", Role.JUDGE: "judge"}


class EngineFactories(dict[Role, Callable[[], Engine]]):
    """What makes the engine of each role that the reward needs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServeJob:
    """A source of rewards, and the server in front of it."""

    prm: object = None
    """The model that scores steps. Started if the reward needs it."""
    judge: object = None
    """The model that looks for the first wrong step. Started if the reward needs it."""
    engine: EngineFactories
    """What runs the models."""
    cluster: Cluster
    """Where they run: how many replicas, with which resources."""
    reward: RewardRecipe
    """Where rewards come from."""
    credit: Credit
    """How step scores and outcome become one number, and advantages."""
    reading: Reading = field(default_factory=Reading)
    """How prompts and completions are read."""
    batching: MicroBatching = field(default_factory=MicroBatching)
    """Limits of the queue across all clients."""
    grader: GraderSettings = field(default_factory=GraderSettings)
    """How answers are found and compared."""
    server: ServerSettings = field(default_factory=ServerSettings)
    """Where the server listens, and what it refuses."""

    def __post_init__(self) -> None:
        if not isinstance(self.credit, GroupCredit):
            raise ConfigurationError(
                f"credit must be a GroupCredit, not {type(self.credit).__name__}: most frameworks "
                "take one number for a rollout, which others do not give"
            )
        if self.server.max_rollouts > self.batching.max_queue:
            raise ConfigurationError(
                f"server.max_rollouts={self.server.max_rollouts} is more than "
                f"batching.max_queue={self.batching.max_queue}: such a request would never fit"
            )


def serve_job(config: DictConfig) -> ServeJob:
    """The job that a composed configuration describes.

    Engines that the reward does not need are left out and may be incomplete.

    Raises:
        ConfigurationError: if the configuration is incomplete or impossible.
    """
    refuse_unknown(config, ServeJob)
    require_complete(config, "reward")
    recipe = cast("RewardRecipe", build_part(config, "reward"))
    roles = sorted(recipe.needs)
    parts = ("cluster", "credit", "reading", "batching", "grader", "server")
    require_complete(config, *(f"engine.{_PARTS[role]}" for role in roles), *parts)
    for role in roles:
        if config.engine.get(_PARTS[role]) is None:
            raise ConfigurationError(f"this engine cannot run a {role}; choose another engine")
    built = cast("dict[str, Any]", {part: build_part(config, part) for part in parts})
    engines = {role: engine_factory(config.engine[_PARTS[role]], _PARTS[role]) for role in roles}
    return ServeJob(**built, reward=recipe, engine=EngineFactories(engines))
