"""Searches many problems at once, with one method."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from prm_search.budget import UNLIMITED, Budget
from prm_search.progress import ProgressDisplay, Totals
from prm_search.protocols import Generator, Grader, Scorer, SearchAlgorithm
from prm_search.records import record_of_failure, record_of_result
from prm_search.store import Record, RunStore
from prm_search.types import Problem
from prm_search.worklist import Attempt, work_off


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
    """Search all problems that the store has no record of, and record each as it finishes.

    See `prm_search.worklist.work_off` for what the arguments have in common.

    Args:
        name: of the method, in the records.

    Returns:
        The totals over all records of this method and seed, earlier sessions included.
    """
    work = _Search(
        algorithm=algorithm,
        name=name,
        generator=generator,
        scorer=scorer,
        grader=grader,
        budget=budget,
        seed=seed,
    )
    return await work_off(
        problems,
        work,
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
class _Search:
    algorithm: SearchAlgorithm
    name: str
    generator: Generator
    scorer: Scorer | None
    grader: Grader
    budget: Budget
    seed: int

    async def record(self, problem: Problem, attempt: Attempt) -> Record:
        result = await self.algorithm(
            problem,
            generator=self.generator,
            scorer=self.scorer,
            grader=self.grader,
            budget=self.budget,
            seed=self.seed,
        )
        return await record_of_result(
            result,
            method=self.name,
            grader=self.grader,
            num_attempts=attempt.number,
            timing=attempt.timing(),
        )

    def record_of_failure(self, problem: Problem, error: Exception, attempt: Attempt) -> Record:
        return record_of_failure(
            problem,
            error,
            method=self.name,
            seed=self.seed,
            num_attempts=attempt.number,
            timing=attempt.timing(),
        )
