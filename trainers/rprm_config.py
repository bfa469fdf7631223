"""What each stage of an R-PRM's training depends on, so that no stage goes on with another's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from prm_search.bootstrapping.settings import Stage
from prm_search.errors import DataError
from prm_search.manifest import config_hash, load_config
from trainers.rprm_job import TrainRPrm

MAY_DIFFER = tuple(
    f"{stage}.{name}"
    for stage in (Stage.sft, Stage.dpo)
    for name in ("max_checkpoints", "num_checked", "report_to")
)
"""Settings that a resumed training may change, because the weights do not depend on them."""

_SETTINGS: Mapping[Stage, tuple[str, ...]] = {
    Stage.analyses: (
        "data",
        "analysis",
        "teacher",
        "engine.teacher",
        "bootstrap.num_analyses",
        "bootstrap.right_steps_per_wrong",
        "bootstrap.max_steps",
    ),
    Stage.sft: ("model", "system_prompt", "bootstrap.validation_share", "sft", "weights_dtype"),
    Stage.pairs: (
        "policy",
        "engine.generator",
        "preferences.num_analyses",
        "preferences.max_steps",
    ),
    Stage.dpo: ("preferences", "dpo", "weights_dtype"),
}
"""By dotted names, beside the seed and all that earlier stages depend on."""

_BEFORE: Mapping[Stage, Stage] = {
    Stage.sft: Stage.analyses,
    Stage.pairs: Stage.sft,
    Stage.dpo: Stage.pairs,
}


def stage_config(config: Mapping[str, object], stage: Stage, job: TrainRPrm) -> dict[str, object]:
    """The part of a configuration that a stage depends on, and the hash of what it stands on.

    Args:
        config: of the whole training, as plain values.
        stage: whose part it is.
        job: says where the stage before has left its own.

    Raises:
        DataError: if the stage before has left nothing.
    """
    chosen: dict[str, object] = {"seed": job.seed}
    for name in _SETTINGS[stage]:
        _copy(config, chosen, name.split("."))
    if stage is Stage.pairs and isinstance(policy := chosen.get("policy"), dict):
        # It is the folder of the stage before, which may have been moved with the run directory.
        values = cast("dict[str, object]", policy)
        chosen["policy"] = {name: value for name, value in values.items() if name != "model"}
    before = _BEFORE.get(stage)
    if before is not None:
        recorded = load_config(job.directory(before))
        if recorded is None:
            raise DataError(
                f"{job.run_dir} holds nothing of stage {before}, which stage {stage} goes on from; "
                f"do it first: stages=[{before},{stage}]"
            )
        chosen["after"] = {str(before): config_hash(_settled(recorded))}
    return chosen


def _settled(config: Mapping[str, object]) -> dict[str, object]:
    """A configuration without what may differ."""
    settled: dict[str, Any] = {}
    for key, value in config.items():
        free = {name.partition(".")[2] for name in MAY_DIFFER if name.startswith(f"{key}.")}
        settled[key] = (
            {name: item for name, item in value.items() if name not in free}
            if isinstance(value, Mapping)
            else value
        )
    return settled


def _copy(source: Mapping[str, Any], target: dict[str, Any], path: list[str]) -> None:
    """Copy a setting, if it is there."""
    name, *rest = path
    if name not in source:
        return
    if not rest:
        target[name] = source[name]
    elif isinstance(source[name], Mapping):
        _copy(source[name], target.setdefault(name, {}), rest)
