"""The command `prm-search train-rl`, beside what all commands have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from hydra.utils import get_class
from omegaconf import DictConfig

from prm_search.budget import Role
from prm_search.building import build_part, engine_factory, refuse_unknown, require_complete
from prm_search.command_help import Description
from prm_search.config import TARGET
from prm_search.errors import ConfigurationError
from prm_search.job import needs_scorer, require_last_scores
from prm_search.protocols import SearchAlgorithm
from prm_search.rewards.recipes import RewardRecipe
from prm_search.serving.job import EngineFactories
from prm_search.training import TrainingJob

TRAIN_RL = Description(
    command="train-rl",
    summary="train a policy with rewards of its steps",
    text=(
        "GRPO with credit for steps. The policy's engines write rollouts, each of which is "
        "rewarded as soon as it ends; the trainer makes an update of them; the engines get the "
        "new weights. Writes checkpoints, metrics.jsonl, curves, and a model with its card. "
        "Starting the same run_dir again goes on after the last checkpoint."
    ),
    examples=(
        ("the built-in sandbox, on a CPU", "prm-search train-rl experiment=sandbox_rl"),
        ("another credit", "prm-search train-rl experiment=sandbox_rl credit=mean_outcome"),
        (
            "a PRM and the reference answers",
            "prm-search train-rl policy.model=Qwen/Qwen2.5-Math-1.5B-Instruct "
            "prm.model=Qwen/Qwen2.5-Math-PRM-7B data=gsm8k data.split=train",
        ),
        (
            "four workers of Ray Train with ZeRO-2",
            "prm-search train-rl … trainer.ray.num_workers=4 trainer.ray.num_gpus=1 "
            "trainer.zero_stage=2",
        ),
        (
            "rollouts from a search, with the scores of its tree",
            "prm-search train-rl … search=beam search.num_beams=8",
        ),
    ),
)

_ENGINES = {Role.POLICY: "generator", Role.PRM: "scorer", Role.JUDGE: "judge"}
_PARTS = ("policy", "cluster", "data", "credit", "methods", "batching", "grader", "alarm")
_OTHERS = ("trainer", "seed", "seeds", "run_dir", "model_dir")
_OPTIONAL = ("held_out", "search", "held_out_search")


def rl_job(config: DictConfig) -> TrainingJob:
    """The training that a composed configuration describes.

    Engines that it does not need are left out and may be incomplete.

    Raises:
        ConfigurationError: if the configuration is incomplete or impossible.
    """
    job = cast("type[Any]", get_class(str(config[TARGET])))
    refuse_unknown(config, job)
    require_complete(config, "reward", *_OPTIONAL)
    reward = cast("RewardRecipe", build_part(config, "reward"))
    built: dict[str, Any] = {name: build_part(config, name) for name in _OPTIONAL}
    roles = _roles(reward, built)
    require_complete(config, *(f"engine.{_ENGINES[role]}" for role in roles), *_PARTS, *_OTHERS)
    for role in roles:
        if config.engine.get(_ENGINES[role]) is None:
            raise ConfigurationError(f"this engine cannot run a {role}; choose another engine")
    built |= {name: build_part(config, name) for name in (*_PARTS, *_OTHERS)}
    engines = {
        role: engine_factory(config.engine[_ENGINES[role]], _ENGINES[role]) for role in roles
    }
    searches = {name: built[name] for name in ("search", "held_out_search") if built[name]}
    require_last_scores(engines.get(Role.PRM), searches)
    return job(**built, reward=reward, engine=EngineFactories(engines))


def _roles(reward: RewardRecipe, searches: Mapping[str, Any]) -> list[Role]:
    found: list[SearchAlgorithm] = [
        searches[name] for name in ("search", "held_out_search") if searches[name] is not None
    ]
    needed = reward.needs if searches["search"] is None else frozenset[Role]()
    with_prm = {Role.PRM} if any(map(needs_scorer, found)) else set[Role]()
    return sorted(needed | {Role.POLICY} | with_prm)
