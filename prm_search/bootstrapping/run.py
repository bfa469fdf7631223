"""Has a model analyse labeled steps: engine, work list, records that are gone on from."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from prm_search.bootstrapping.analysis_source import AnalysisSource
from prm_search.bootstrapping.analyst import Analyst
from prm_search.bootstrapping.bootstrap_records import record_of_analyses, record_of_failure
from prm_search.bootstrapping.bootstrap_totals import BootstrapTotals
from prm_search.bootstrapping.labeled_steps import LabeledProblem
from prm_search.budget import Role
from prm_search.data.loaded import Loaded, SetAside
from prm_search.engines import Cluster, Engine
from prm_search.errors import EngineError
from prm_search.interrupt import StopOnInterrupt
from prm_search.labeling.label_records import with_time
from prm_search.progress import ProgressDisplay
from prm_search.protocols import Generator
from prm_search.run_session import FAILED, run_session, running_engines
from prm_search.store import Record, RecordKey, RunStore
from prm_search.types import Problem
from prm_search.worklist import Attempt, work_off


@dataclass(frozen=True, kw_only=True, slots=True)
class AnalysisRun:
    """Analyses of the labeled steps of some problems, by one model."""

    name: str
    """Of the stage, in the records and on the display."""
    directory: Path
    factory: Callable[[], Engine]
    """Makes the model's engine."""
    role: Role
    """What the model is here: decides where it runs."""
    cluster: Cluster
    source: AnalysisSource
    num_analyses: int
    """Of each step, at least 1."""
    seed: int
    max_in_flight: int
    """Problems at the same time, at least 1."""
    max_retries: int
    """How often a problem is tried again after the engine failed on it."""


async def run_analyses(
    run: AnalysisRun,
    problems: Sequence[LabeledProblem],
    *,
    set_aside: Sequence[SetAside] = (),
    config: Mapping[str, object],
    command: str,
    display: ProgressDisplay,
) -> int:
    """Analyse the steps of all problems, or go on where the directory exists.

    Args:
        problems: with the steps that are analysed.
        set_aside: rows of the data that could not be used; written beside the records.
        config: all that the analyses depend on, as plain values; recorded in the directory.
        command: what starts the same in the same directory.

    Returns:
        0 if it came to its end, 130 if it was interrupted.

    Raises:
        EngineError: if every problem failed.
        PrmSearchError: if it cannot be done: no engine, no place to write.
    """
    totals = BootstrapTotals()

    async def analyse(store: RunStore) -> int:
        nonlocal totals
        async with running_engines(run.cluster, {run.role: run.factory}, display) as engines:
            totals = await _analyse(run, problems, engines[run.role], store, display)
        return totals.num_failed

    keys = [RecordKey(run.name, problem.id, run.seed) for problem in problems]
    code = await run_session(
        run.directory,
        analyse,
        keys=keys,
        what="problems",
        loaded=Loaded(problems=(), set_aside=tuple(set_aside)),
        seed=run.seed,
        config=config,
        command=command,
        display=display,
    )
    if code == FAILED:
        raise EngineError(
            f"no steps of any problem could be analysed; {run.directory} holds the reason of each"
        )
    return code


async def _analyse(
    run: AnalysisRun,
    problems: Sequence[LabeledProblem],
    engine: Engine,
    store: RunStore,
    display: ProgressDisplay,
) -> BootstrapTotals:
    analyst = Analyst(
        generator=cast("Generator", engine),
        role=run.role,
        source=run.source,
        num_analyses=run.num_analyses,
        seed=run.seed,
    )
    stop = asyncio.Event()
    with StopOnInterrupt(stop, display):
        return await work_off(
            [Problem(id=problem.id, prompt=problem.prompt) for problem in problems],
            _Analyses(
                analyst=analyst,
                problems={problem.id: problem for problem in problems},
                method=run.name,
                seed=run.seed,
            ),
            name=run.name,
            seed=run.seed,
            totals=BootstrapTotals(),
            store=store,
            max_in_flight=run.max_in_flight,
            max_retries=run.max_retries,
            retry_seconds=1.0,
            progress=display,
            stop=stop,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Analyses:
    analyst: Analyst
    problems: Mapping[str, LabeledProblem]
    method: str
    seed: int

    async def record(self, problem: Problem, attempt: Attempt) -> Record:
        result = await self.analyst(self.problems[problem.id])
        record = record_of_analyses(result, method=self.method, seed=self.seed)
        return with_time(record, attempt.timing(), num_attempts=attempt.number)

    def record_of_failure(self, problem: Problem, error: Exception, attempt: Attempt) -> Record:
        record = record_of_failure(problem, error, method=self.method, seed=self.seed)
        return with_time(record, attempt.timing(), num_attempts=attempt.number)
