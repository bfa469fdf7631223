"""Searches many problems at once, with one method."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prm_search.budget import UNLIMITED, Budget
from prm_search.controlling import Controller
from prm_search.progress import ProgressDisplay, Totals
from prm_search.protocols import Generator, Grader, Scorer, SearchAlgorithm
from prm_search.records import record_of_failure, record_of_result, with_time
from prm_search.store import Record, RunStore
from prm_search.types import Problem
from prm_search.worklist import Attempt, work_off


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchController:
    """Searches problems in this process; see `prm_search.controlling.Controller`."""

    methods: Mapping[str, SearchAlgorithm]
    """By their names in the records."""
    generator: Generator
    scorer: Scorer | None
    grader: Grader
    budget: Budget = UNLIMITED
    seed: int = 0

    async def record(self, problem: Problem, method: str) -> dict[str, object]:
        """Search a problem."""
        result = await self.methods[method](
            problem,
            generator=self.generator,
            scorer=self.scorer,
            grader=self.grader,
            budget=self.budget,
            seed=self.seed,
        )
        return await record_of_result(result, method=method, grader=self.grader)


async def run_search(
    problems: Sequence[Problem],
    *,
    algorithm: SearchAlgorithm,
    name: str,
    generator: Generator,
    scorer: Scorer | None,
    grader: Grader,
    store: RunStore,
    budget: Budget = UNLIMITED,
    seed: int = 0,
    max_in_flight: int = 256,
    max_retries: int = 2,
    retry_seconds: float = 1.0,
    progress: ProgressDisplay | None = None,
    stop: asyncio.Event | None = None,
) -> Totals:
    """Search all problems that the store has no record of, in this process.

    See `prm_search.worklist.work_off` for what the arguments have in common.

    Args:
        name: of the method, in the records.

    Returns:
        The totals over all records of this method and seed, earlier sessions included.
    """
    controller = SearchController(
        methods={name: algorithm},
        generator=generator,
        scorer=scorer,
        grader=grader,
        budget=budget,
        seed=seed,
    )
    return await run_controlled(
        problems,
        controller,
        name=name,
        store=store,
        seed=seed,
        max_in_flight=max_in_flight,
        max_retries=max_retries,
        retry_seconds=retry_seconds,
        progress=progress,
        stop=stop,
    )


async def run_controlled(
    problems: Sequence[Problem],
    controller: Controller,
    *,
    name: str,
    store: RunStore,
    seed: int,
    max_in_flight: int,
    max_retries: int,
    retry_seconds: float = 1.0,
    progress: ProgressDisplay | None = None,
    stop: asyncio.Event | None = None,
) -> Totals:
    """Have all problems searched that the store has no record of, and record each as it ends.

    See `prm_search.worklist.work_off` for the arguments.

    Returns:
        The totals over all records of this method and seed, earlier sessions included.
    """
    return await work_off(
        problems,
        _Searches(controller=controller, method=name, seed=seed),
        name=name,
        seed=seed,
        totals=Totals(),
        store=store,
        max_in_flight=max_in_flight,
        max_retries=max_retries,
        retry_seconds=retry_seconds,
        progress=progress,
        stop=stop,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Searches:
    controller: Controller
    method: str
    seed: int

    async def record(self, problem: Problem, attempt: Attempt) -> Record:
        record = await self.controller.record(problem, self.method)
        return with_time(record, attempt.timing(), num_attempts=attempt.number)

    def record_of_failure(self, problem: Problem, error: Exception, attempt: Attempt) -> Record:
        record = record_of_failure(problem, error, method=self.method, seed=self.seed)
        return with_time(record, attempt.timing(), num_attempts=attempt.number)
