"""Runs a labeling job: data, store, engines, controllers, dataset."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

from rich.console import Console

from prm_search.budget import Role
from prm_search.controlling import Controller, ControllerEngine
from prm_search.data import Loaded
from prm_search.interrupt import StopOnInterrupt
from prm_search.labeling.label_job import LabelJob
from prm_search.labeling.label_records import record_of_failure, with_time
from prm_search.labeling.label_report import report_labels
from prm_search.labeling.label_totals import LabelTotals
from prm_search.labeling.label_worker import LabelWorker
from prm_search.labeling.text_prefixes import TextPrefixes
from prm_search.progress import ProgressDisplay, display_for
from prm_search.protocols import Generator, Judge
from prm_search.run_session import INTERRUPTED, run_session, running_engines
from prm_search.store import Record, RecordKey, RunStore
from prm_search.types import Problem
from prm_search.worklist import Attempt, work_off


async def run_label_job(
    job: LabelJob, *, name: str, config: Mapping[str, object], command: str, console: Console
) -> int:
    """Run a job, or resume it where its run directory exists.

    Args:
        name: of the annotator, in the records.
        config: what the job was built from, as plain values; recorded in the run directory.
        command: what starts the same job in the same run directory.

    Returns:
        0 if it came to its end, 1 if every problem failed, 130 if it was interrupted.

    Raises:
        PrmSearchError: if it cannot be run: no data, no engine, no place to write.
    """
    job.decontamination.load()  # what is wrong with it must not come to light at the end
    loaded = job.data.load()
    display = display_for(console)

    async def label(store: RunStore) -> int:
        return await _label(job, name, loaded, store, display)

    directory = Path(job.run_dir)
    code = await run_session(
        directory,
        label,
        keys=[RecordKey(name, problem.id, job.seed) for problem in loaded.problems],
        what="problems",
        loaded=loaded,
        seed=job.seed,
        config=config,
        command=command,
        display=display,
    )
    if code != INTERRUPTED:
        display.say(report_labels(directory))
    return code


async def _label(
    job: LabelJob, name: str, loaded: Loaded, store: RunStore, display: ProgressDisplay
) -> int:
    """Label all problems that are not labeled yet.

    Returns:
        How many problems failed.
    """
    factories = {Role.POLICY: job.engine.generator}
    if job.engine.completer is not None:
        factories[Role.COMPLETER] = job.engine.completer
    if job.engine.judge is not None:
        factories[Role.JUDGE] = job.engine.judge
    stop = asyncio.Event()
    async with running_engines(job.cluster, factories, display) as engines:
        generator = cast("Generator", engines[Role.POLICY])
        completer: Generator = generator
        if Role.COMPLETER in engines:
            completer = TextPrefixes(generator=cast("Generator", engines[Role.COMPLETER]))
        make_worker = partial(
            LabelWorker,
            annotator=job.label,
            num_responses=job.num_responses,
            seed=job.seed,
            generator=generator,
            completer=completer,
            judge=cast("Judge | None", engines.get(Role.JUDGE)),
        )
        make_engine = partial(ControllerEngine, make_worker, grader=job.grader)
        controller = cast("Controller", await job.cluster.launch(make_engine, Role.CONTROLLER))
        with StopOnInterrupt(stop, display):
            totals = await work_off(
                loaded.problems,
                _Labeling(controller=controller, method=name, seed=job.seed),
                name=name,
                seed=job.seed,
                totals=LabelTotals(),
                store=store,
                max_in_flight=job.max_in_flight,
                max_retries=job.max_retries,
                retry_seconds=1.0,
                progress=display,
                stop=stop,
            )
    return totals.num_failed


@dataclass(frozen=True, kw_only=True, slots=True)
class _Labeling:
    controller: Controller
    method: str
    seed: int

    async def record(self, problem: Problem, attempt: Attempt) -> Record:
        record = await self.controller.record(problem, self.method)
        return with_time(record, attempt.timing(), num_attempts=attempt.number)

    def record_of_failure(self, problem: Problem, error: Exception, attempt: Attempt) -> Record:
        record = record_of_failure(problem, error, method=self.method, seed=self.seed)
        return with_time(record, attempt.timing(), num_attempts=attempt.number)
