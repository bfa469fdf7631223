"""Runs a search job: data, store, engines, one method after another, report."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import cast

from rich.console import Console

from prm_search.budget import Role
from prm_search.concurrency import gather_all
from prm_search.controller import SearchController, run_controlled
from prm_search.controlling import Controller, ControllerEngine
from prm_search.interrupt import StopOnInterrupt
from prm_search.job import SearchJob
from prm_search.model_size import num_parameters
from prm_search.progress import ProgressDisplay, display_for
from prm_search.protocols import Generator, Scorer
from prm_search.run_session import run_session, running_engines
from prm_search.store import RecordKey, RunStore
from prm_search.types import Problem


async def run_job(
    job: SearchJob, *, config: Mapping[str, object], command: str, console: Console
) -> int:
    """Run a job, or resume it where its run directory exists.

    Args:
        config: what the job was built from, as plain values; recorded in the run directory.
        command: what starts the same job in the same run directory.

    Returns:
        0 if it came to its end, 1 if every problem failed, 130 if it was interrupted.

    Raises:
        PrmSearchError: if it cannot be run: no data, no engine, no place to write.
    """
    loaded = job.data.load()
    display = display_for(console)

    async def search(store: RunStore) -> int:
        return await _run_methods(job, loaded.problems, store, display, config)

    return await run_session(
        Path(job.run_dir),
        search,
        keys=[
            RecordKey(name, problem.id, job.seed)
            for name in job.methods
            for problem in loaded.problems
        ],
        what="searches",
        loaded=loaded,
        seed=job.seed,
        config=config,
        command=command,
        display=display,
    )


async def _run_methods(
    job: SearchJob,
    problems: tuple[Problem, ...],
    store: RunStore,
    display: ProgressDisplay,
    config: Mapping[str, object],
) -> int:
    """Run the methods one after another, so that the wall time of each means something.

    Returns:
        How many searches failed.
    """
    factories = {Role.POLICY: job.engine.generator}
    if job.engine.scorer is not None:
        factories[Role.PRM] = job.engine.scorer
    stop = asyncio.Event()
    num_failed = 0
    async with running_engines(job.cluster, factories, display) as engines:
        # Only now is a model of the Hub sure to be on this machine.
        store.write_parameters({role: num_parameters(_model(config, role)) for role in engines})
        make_controller = partial(
            SearchController,
            methods=job.methods,
            generator=cast("Generator", engines[Role.POLICY]),
            scorer=cast("Scorer | None", engines.get(Role.PRM)),
            budget=job.budget,
            seed=job.seed,
        )
        make_engine = partial(ControllerEngine, make_controller, grader=job.grader)
        controller = cast("Controller", await job.cluster.launch(make_engine, Role.CONTROLLER))
        with StopOnInterrupt(stop, display):
            for name in job.methods:
                if stop.is_set():
                    break
                # What a method costs must not depend on which ones ran before it.
                await gather_all(engine.reset_cache() for engine in engines.values())
                totals = await run_controlled(
                    problems,
                    controller,
                    name=name,
                    store=store,
                    seed=job.seed,
                    max_in_flight=job.max_in_flight,
                    max_retries=job.max_retries,
                    progress=display,
                    stop=stop,
                )
                num_failed += totals.num_failed
    return num_failed


def _model(config: Mapping[str, object], role: Role) -> str:
    """The model of a role; "" if the configuration names none."""
    part = config.get(role)
    if not isinstance(part, Mapping):
        return ""
    return str(cast("Mapping[str, object]", part).get("model", ""))
