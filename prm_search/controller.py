"""Many problems at once: one coroutine for each, and no barrier between them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import asdict
from typing import cast

from prm_search.budget import UNLIMITED, Budget
from prm_search.errors import ConfigurationError, DataError, StoreError
from prm_search.progress import ProgressDisplay, Silent, Totals
from prm_search.protocols import Generator, Grader, Scorer, SearchAlgorithm
from prm_search.records import Timing, is_transient, record_of_failure, record_of_result
from prm_search.store import Record, RecordKey, RunStore
from prm_search.types import Problem

_log = logging.getLogger(__name__)


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

    A problem that fails is recorded with its error, and the run goes on.

    Args:
        name: of the method, in the records.
        max_in_flight: problems searched at the same time, at least 1.
        max_retries: how often a problem is tried again after an engine failed on it.
        retry_seconds: wait before the first retry; each further wait is twice as long.
        stop: once it is set, no further problem is taken; those in flight are finished.

    Returns:
        The totals over all records of this method and seed, earlier sessions included.

    Raises:
        StoreError: if a record cannot be written.
        ConfigurationError: if the algorithm cannot run with these parts.
        DataError: if two problems have the same id.
    """
    repeated = [key for key, count in Counter(item.id for item in problems).items() if count > 1]
    if repeated:
        raise DataError(f"several problems have the id {repeated[0]!r}; ids must be unique")
    start = time.monotonic()
    stop = stop or asyncio.Event()
    progress = progress or Silent()
    totals = Totals()
    for head in store.heads(name, seed):
        totals = totals.add(head)
    earlier_seconds = _seconds_of_sessions(store.heads(name, seed))

    async def search(problem: Problem) -> None:
        nonlocal totals
        record = await _search(problem)
        if record is not None:
            store.append(record)
            totals = totals.add(record)
            progress.update(totals)

    async def _search(problem: Problem) -> Record | None:
        first = time.monotonic()

        def timing() -> Timing:
            now = time.monotonic()
            return Timing(session=store.session, elapsed=now - start, wall=now - first)

        attempt = 0
        while True:
            attempt += 1
            try:
                result = await algorithm(
                    problem,
                    generator=generator,
                    scorer=scorer,
                    grader=grader,
                    budget=budget,
                    seed=seed,
                )
                return await record_of_result(
                    result, method=name, grader=grader, num_attempts=attempt, timing=timing()
                )
            except (ConfigurationError, StoreError):
                raise  # as wrong for every other problem
            except Exception as error:
                if is_transient(error):
                    if stop.is_set():
                        return None  # left for the session that resumes the run
                    if attempt <= max_retries:
                        await asyncio.sleep(retry_seconds * 2 ** (attempt - 1))
                        continue
                _log.debug("%s failed on problem %s", name, problem.id, exc_info=error)
                return record_of_failure(
                    problem,
                    error,
                    method=name,
                    seed=seed,
                    num_attempts=attempt,
                    timing=timing(),
                )

    progress.begin(name, num_problems=len(problems), totals=totals)
    left = (item for item in problems if RecordKey(name, item.id, seed) not in store)
    try:
        await _for_each(left, search, max_in_flight=max_in_flight, stop=stop)
    finally:
        progress.end()
        seconds = earlier_seconds + time.monotonic() - start
        store.append_metrics(
            {"method": name, "seed": seed, "wall_seconds": round(seconds, 3), **asdict(totals)}
        )
    return totals


async def _for_each(
    problems: Iterable[Problem],
    work: Callable[[Problem], Coroutine[object, object, None]],
    *,
    max_in_flight: int,
    stop: asyncio.Event,
) -> None:
    """Do the work for each problem, a bounded number at the same time."""
    slots = asyncio.Semaphore(max_in_flight)
    failure: BaseException | None = None
    try:
        async with asyncio.TaskGroup() as group:
            for problem in problems:
                await slots.acquire()
                if stop.is_set():
                    break
                group.create_task(work(problem)).add_done_callback(lambda _: slots.release())
    except BaseExceptionGroup as errors:
        failure = errors.exceptions[0]
    if failure is not None:
        raise failure


def _seconds_of_sessions(heads: Iterable[Record]) -> float:
    """How long earlier sessions worked on a method, up to their last finished problem."""
    longest: dict[int, float] = {}
    for head in heads:
        timing = cast("dict[str, float]", head["timing"])
        session = int(timing["session"])
        longest[session] = max(longest.get(session, 0.0), timing["elapsed"])
    return sum(longest.values())
