"""A training on processes that Ray Train starts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
from ray.train import RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer

from prm_search.errors import PrmSearchError, TrainingError
from trainers.prm_job import TrainPrm
from trainers.prm_settings import LabelFiles


def run_on_ray(job: TrainPrm, *, config: Mapping[str, object], command: str) -> int:
    """Train on a Ray cluster: that of $RAY_ADDRESS, or one on this machine.

    All nodes must see run_dir and model_dir under the same path.

    Raises:
        TrainingError: if a worker failed.
    """
    workers = job.trainer.ray
    was_running = ray.is_initialized()
    if not was_running:
        ray.init(address=os.environ.get("RAY_ADDRESS", "local"), log_to_driver=True)
    resources = {"CPU": workers.num_cpus}
    if workers.num_gpus:
        resources["GPU"] = workers.num_gpus
    trainer = TorchTrainer(
        _work,
        train_loop_config={"job": _absolute(job), "config": dict(config), "command": command},
        scaling_config=ScalingConfig(
            num_workers=workers.num_workers,
            use_gpu=workers.num_gpus > 0,
            resources_per_worker=resources,
        ),
        run_config=RunConfig(
            name="ray_train", storage_path=str(Path(job.run_dir).expanduser().resolve())
        ),
    )
    try:
        trainer.fit()
    except Exception as error:  # Ray wraps what a worker raises in types of its own
        raise TrainingError(f"a worker of Ray Train failed: {_cause(error)}") from error
    finally:
        if not was_running:
            ray.shutdown()
    return 0


def _absolute(job: TrainPrm) -> TrainPrm:
    """The same job, for workers that run in another folder."""

    def absolute(path: str) -> str:
        return str(Path(path).expanduser().absolute())

    def files(labels: LabelFiles) -> LabelFiles:
        return labels if labels.path is None else replace(labels, path=absolute(labels.path))

    is_folder = Path(job.model).expanduser().is_dir()
    return replace(
        job,
        model=absolute(job.model) if is_folder else job.model,
        data=files(job.data),
        held_out=files(job.held_out),
        run_dir=absolute(job.run_dir),
        model_dir=absolute(job.model_dir),
    )


def _work(arguments: dict[str, Any]) -> None:
    from trainers.prm import run_here

    run_here(arguments["job"], config=arguments["config"], command=arguments["command"])


def _cause(error: BaseException) -> str:
    """What a worker said, without the tracebacks around it."""
    failures = getattr(error, "worker_failures", None) or {}
    for failure in failures.values():
        if isinstance(failure, PrmSearchError):
            return str(failure)
        lines = [line for line in str(failure).strip().splitlines() if line.strip()]
        if lines:
            return lines[-1]
    return str(error).strip().splitlines()[-1]
