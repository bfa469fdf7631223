"""A training of a policy on processes that Ray Train starts; the engines stay where they are."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from ray import cloudpickle
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer

from prm_search.budget import Role
from prm_search.data import ProblemLoader
from prm_search.engines import Engine
from prm_search.errors import ConfigurationError, TrainingError
from prm_search.run_session import INTERRUPTED, OK
from prm_search.serving.job import EngineFactories
from trainers.ray_workers import _cause
from trainers.rl_job import TrainRl, is_finished
from trainers.rl_stop import StopFile


async def train_on_ray(job: TrainRl, engines: Mapping[Role, Engine], *, stop: asyncio.Event) -> int:
    """Train on the Ray cluster that the engines run on; see `trainers.rl.train`.

    All nodes must see run_dir, model_dir and trainer.weights_dir under the same path. When a
    process dies, all of them are started again and go on after the last checkpoint.

    Raises:
        TrainingError: if a worker failed, too often.
        ConfigurationError: if the engines are not on Ray.
    """
    workers = job.trainer.ray
    for engine in engines.values():
        if not hasattr(engine, "num_sharers"):
            raise ConfigurationError(
                "trainer.ray.num_workers needs engines that several processes can ask: choose "
                "cluster=ray"
            )
        setattr(engine, "num_sharers", workers.num_workers)  # noqa: B010
    resources = {"CPU": workers.num_cpus}
    if workers.num_gpus:
        resources["GPU"] = workers.num_gpus
    absolute = for_workers(job)
    trainer = TorchTrainer(
        _work,
        train_loop_config={"work": _dumps((absolute, dict(engines)))},
        scaling_config=ScalingConfig(
            num_workers=workers.num_workers,
            use_gpu=workers.num_gpus > 0,
            resources_per_worker=resources,
        ),
        run_config=RunConfig(
            name="ray_train",
            storage_path=absolute.run_dir,
            failure_config=FailureConfig(max_failures=job.trainer.max_restarts),
        ),
    )
    stop_file = StopFile(absolute.run_dir)
    stop_file.clear()
    passing_on = asyncio.create_task(stop_file.follow(stop))
    try:
        await asyncio.to_thread(trainer.fit)
    except Exception as error:  # Ray wraps what a worker raises in types of its own
        raise TrainingError(f"a worker of Ray Train failed: {_cause(error)}") from error
    finally:
        passing_on.cancel()
        stop_file.clear()
    return OK if is_finished(absolute) else INTERRUPTED


def _work(arguments: dict[str, Any]) -> None:
    from trainers.rl import train_here

    job, engines = cloudpickle.loads(arguments["work"])
    asyncio.run(train_here(job, engines, stop=StopFile(job.run_dir)))


def _dumps(value: object) -> bytes:
    # As bytes, because handles of actors are not kept alive by what Ray stores.
    return cloudpickle.dumps(value)  # pyright: ignore[reportPrivateImportUsage]


def for_workers(job: TrainRl) -> TrainRl:
    """The same job without engines, for workers that run in another folder."""

    def absolute(path: str) -> str:
        return str(Path(path).expanduser().absolute())

    def loader(problems: ProblemLoader) -> ProblemLoader:
        path: object = getattr(problems, "path", None)
        if not isinstance(path, str):
            return problems
        return replace(cast("Any", problems), path=absolute(path))

    model = job.policy.model
    is_folder = Path(model).expanduser().is_dir()
    return replace(
        job,
        policy=replace(job.policy, model=absolute(model) if is_folder else model),
        engine=EngineFactories(),
        cluster=None,  # pyright: ignore[reportArgumentType]  # what is launched there stays there
        data=loader(job.data),
        held_out=None if job.held_out is None else loader(job.held_out),
        run_dir=absolute(job.run_dir),
        model_dir=absolute(job.model_dir),
    )
