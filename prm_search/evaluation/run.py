"""Runs an evaluation: cases, store, engine, results."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from rich.console import Console

from prm_search.data import Loaded
from prm_search.evaluation.case import Case
from prm_search.evaluation.evaluator import evaluate
from prm_search.evaluation.job import ROLES, EvaluationJob
from prm_search.interrupt import StopOnInterrupt
from prm_search.progress import ProgressDisplay, display_for
from prm_search.protocols import Judge, Scorer
from prm_search.run_session import run_session, running_engines
from prm_search.store import RecordKey, RunStore


async def run_evaluation(
    job: EvaluationJob, *, config: Mapping[str, object], command: str, console: Console
) -> int:
    """Run an evaluation, or resume it where its run directory exists.

    Args:
        config: what the job was built from, as plain values; recorded in the run directory.
        command: what starts the same evaluation in the same run directory.

    Returns:
        0 if it came to its end, 1 if every case failed, 130 if it was interrupted.

    Raises:
        PrmSearchError: if it cannot be run: no data, no engine, no place to write.
    """
    display = display_for(console)
    loaded = await job.benchmark.load(job.grader)

    async def work(store: RunStore) -> int:
        return await _evaluate(job, loaded.cases, store, display)

    return await run_session(
        Path(job.run_dir),
        work,
        keys=[RecordKey(job.subject, case.id, job.seed) for case in loaded.cases],
        what="solutions",
        loaded=Loaded(problems=(), set_aside=loaded.set_aside),
        seed=job.seed,
        config=config,
        command=command,
        display=display,
    )


async def _evaluate(
    job: EvaluationJob, cases: tuple[Case, ...], store: RunStore, display: ProgressDisplay
) -> int:
    """Ask about all cases that have no record.

    Returns:
        How many failed.
    """
    role = ROLES.get(job.subject)
    factories = {role: job.engine} if role and job.engine else {}
    stop = asyncio.Event()
    async with running_engines(job.cluster, factories, display) as engines:
        engine = engines.get(role) if role else None
        with StopOnInterrupt(stop, display):
            totals = await evaluate(
                cases,
                subject=job.subject,
                scorer=cast("Scorer | None", engine if job.subject == "prm" else None),
                judge=cast("Judge | None", engine if job.subject == "judge" else None),
                num_votes=job.num_votes,
                store=store,
                seed=job.seed,
                max_in_flight=job.max_in_flight,
                max_retries=job.max_retries,
                progress=display,
                stop=stop,
            )
    return totals.num_failed
