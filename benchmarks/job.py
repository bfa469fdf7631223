"""What the benchmarks share: a job composed from conf/, its engines, and timed runs of methods."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from rich.console import Console

from prm_search.budget import Role
from prm_search.composition import compose
from prm_search.concurrency import gather_all
from prm_search.controller import run_search
from prm_search.engines import Engine, EngineFactory
from prm_search.grading import MathGrader
from prm_search.job import SearchJob, search_job
from prm_search.prms.prm import Prm
from prm_search.progress import display_for
from prm_search.protocols import Generator, Grader, Scorer, SearchAlgorithm
from prm_search.run_session import running_engines
from prm_search.store import RECORDS, RunStore
from prm_search.types import Problem

Record = Mapping[str, Any]

console = Console(stderr=True)
"""Progress goes to standard error, so that standard output ends in the result."""


def compose_job(*overrides: str) -> SearchJob:
    """The job of `prm-search search experiment=demo` with further overrides.

    Raises:
        ConfigurationError: if it is incomplete or impossible.
    """
    config = compose("search", ["experiment=demo", "run_dir=unused", *overrides])
    return search_job(config, name="search")


def prm_of(job: SearchJob) -> Prm:
    """The PRM that a job scores with."""
    return cast("Prm", cast("EngineFactory", job.engine.scorer).arguments["prm"])


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """Running engines, and a grader."""

    generator: Generator
    scorer: Scorer
    grader: Grader
    engines: Sequence[Engine]

    async def reset_cache(self) -> None:
        """Let the engines forget what they computed."""
        await gather_all(engine.reset_cache() for engine in self.engines)


@asynccontextmanager
async def engines(job: SearchJob) -> AsyncGenerator[Bench, None]:
    """Start a policy and a PRM side by side."""
    assert job.engine.scorer is not None
    factories = {Role.POLICY: job.engine.generator, Role.PRM: job.engine.scorer}
    grader = MathGrader(job.grader)
    try:
        async with running_engines(job.cluster, factories, display_for(console)) as running:
            yield Bench(
                generator=cast("Generator", running[Role.POLICY]),
                scorer=cast("Scorer", running[Role.PRM]),
                grader=grader,
                engines=tuple(running.values()),
            )
    finally:
        grader.close()


async def timed_run(
    bench: Bench, problems: Sequence[Problem], algorithm: SearchAlgorithm, name: str, seed: int
) -> tuple[list[Record], float]:
    """Search all problems with the controller, beginning with empty caches.

    Returns:
        The records in the order of the problems, and the wall time in seconds.
    """
    await bench.reset_cache()
    with tempfile.TemporaryDirectory() as folder, RunStore(Path(folder)) as store:
        started = time.perf_counter()
        await run_search(
            problems,
            algorithm=algorithm,
            name=name,
            generator=bench.generator,
            scorer=bench.scorer,
            grader=bench.grader,
            store=store,
            seed=seed,
            progress=display_for(console),
        )
        seconds = time.perf_counter() - started
        lines = (Path(folder) / RECORDS).read_text().splitlines()
    records = {record["problem"]: record for record in map(json.loads, lines)}
    failed = [record for record in records.values() if record["error"]]
    if failed:
        raise RuntimeError(f"{len(failed)} searches failed, the first: {failed[0]['error']}")
    return [records[problem.id] for problem in problems], seconds
