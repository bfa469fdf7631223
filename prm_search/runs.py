"""Runs a search job: data, store, engines, one method after another, report."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import cast

from rich.console import Console

from prm_search.budget import Role
from prm_search.concurrency import gather_all
from prm_search.controller import run_search
from prm_search.grading import MathGrader
from prm_search.job import MAY_DIFFER, Engine, SearchJob
from prm_search.progress import ProgressDisplay, display_for
from prm_search.protocols import Generator, Scorer
from prm_search.store import RecordKey, RunStore
from prm_search.types import Problem

OK, FAILED, INTERRUPTED = 0, 1, 130
"""Exit codes."""


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
    problems = loaded.problems
    display = display_for(console)
    keys = [RecordKey(name, problem.id, job.seed) for name in job.methods for problem in problems]
    directory = Path(job.run_dir)
    with RunStore(
        directory, config=config, seed=job.seed, command=command, may_differ=MAY_DIFFER
    ) as store:
        if loaded.set_aside:
            store.write_set_aside(asdict(row) for row in loaded.set_aside)
            display.say(f"{len(loaded.set_aside)} rows of the data were set aside.")
        num_open = sum(problem.answer is None for problem in problems)
        if num_open:
            display.say(f"{num_open} of {len(problems)} problems have no answer to grade against.")
        num_done = sum(key in store for key in keys)
        if num_done:
            display.say(f"Resuming {directory}: {num_done} of {len(keys)} searches are done.")
        num_failed = 0
        try:
            if num_done < len(keys):
                num_failed = await _run_methods(job, problems, store, display)
        finally:
            num_done = sum(key in store for key in keys)
            if 0 < num_done < len(keys):
                display.say(
                    f"{num_done} of {len(keys)} searches are finished and kept. To resume:\n"
                    f"  {command}"
                )
        if num_done < len(keys):
            return INTERRUPTED
        store.write_results(keys)
    return FAILED if num_failed == len(keys) else OK


async def _run_methods(
    job: SearchJob, problems: Sequence[Problem], store: RunStore, display: ProgressDisplay
) -> int:
    """Run the methods one after another, so that the wall time of each means something.

    Returns:
        How many searches failed.
    """
    grader = MathGrader(job.grader)
    stop = asyncio.Event()
    num_failed = 0
    try:
        async with _engines(job, display) as engines:
            generator = cast("Generator", engines[Role.POLICY])
            scorer = cast("Scorer | None", engines.get(Role.PRM))
            with _StopOnInterrupt(stop, display):
                for name, algorithm in job.methods.items():
                    if stop.is_set():
                        break
                    # What a method costs must not depend on which ones ran before it.
                    await gather_all(engine.reset_cache() for engine in engines.values())
                    totals = await run_search(
                        problems,
                        algorithm=algorithm,
                        name=name,
                        generator=generator,
                        scorer=scorer,
                        grader=grader,
                        store=store,
                        budget=job.budget,
                        seed=job.seed,
                        max_in_flight=job.max_in_flight,
                        max_retries=job.max_retries,
                        progress=display,
                        stop=stop,
                    )
                    num_failed += totals.num_failed
    finally:
        grader.close()
    return num_failed


@asynccontextmanager
async def _engines(
    job: SearchJob, display: ProgressDisplay
) -> AsyncGenerator[Mapping[Role, Engine], None]:
    """The engines that the methods need, started side by side."""
    factories = {Role.POLICY: job.engine.generator}
    if job.engine.scorer is not None:
        factories[Role.PRM] = job.engine.scorer
    display.say(f"Starting {' and '.join(factories)} …")
    try:
        engines = await gather_all(
            job.cluster.launch(factory, role) for role, factory in factories.items()
        )
        yield dict(zip(factories, engines, strict=True))
    finally:
        await job.cluster.close()


class _StopOnInterrupt:
    """On Ctrl-C take no further problems; on a second one end at once."""

    def __init__(self, stop: asyncio.Event, display: ProgressDisplay) -> None:
        self._stop = stop
        self._display = display
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()

    def __enter__(self) -> None:
        self._loop.add_signal_handler(signal.SIGINT, self._interrupt)

    def __exit__(self, *error: object) -> None:
        self._loop.remove_signal_handler(signal.SIGINT)

    def _interrupt(self) -> None:
        if not self._stop.is_set():
            self._stop.set()
            self._display.say(
                "Stopping: the searches in flight are finished. Ctrl-C again ends at once."
            )
        elif self._task is not None:
            self._loop.remove_signal_handler(signal.SIGINT)
            self._task.cancel()
