"""Many problems at once: one coroutine for each, and no barrier between them.

problems --work--> records --append--> store, again and again where an engine failed
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol, TypeVar, cast

from prm_search.errors import ConfigurationError, DataError, StoreError
from prm_search.progress import ProgressDisplay, RunningTotals, Silent
from prm_search.record_fields import Timing, is_transient
from prm_search.store import Record, RecordKey, RunStore
from prm_search.types import Problem

_log = logging.getLogger(__name__)

TotalsT = TypeVar("TotalsT", bound=RunningTotals)


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One of the tries at a problem. Times are those of the monotonic clock."""

    number: int
    """Above 0."""
    session: int
    """How often the run had been resumed."""
    run_start: float
    """When work on the first problem of this session began."""
    problem_start: float
    """When work on this problem began."""

    def timing(self) -> Timing:
        """When the record is made, which is now."""
        now = time.monotonic()
        return Timing(
            session=self.session, elapsed=now - self.run_start, wall=now - self.problem_start
        )


class Work(Protocol):
    """What is done about each problem."""

    async def record(self, problem: Problem, attempt: Attempt) -> Record:
        """Do it, and give the record.

        Raises:
            ConfigurationError: if it cannot be done for any problem.
            EngineError: if an engine failed; it is tried again.
        """
        ...

    def record_of_failure(self, problem: Problem, error: Exception, attempt: Attempt) -> Record:
        """The record of a problem on which the last attempt failed."""
        ...


async def work_off(
    problems: Sequence[Problem],
    work: Work,
    *,
    name: str,
    seed: int,
    totals: TotalsT,
    store: RunStore,
    max_in_flight: int,
    max_retries: int,
    retry_seconds: float,
    progress: ProgressDisplay | None = None,
    stop: asyncio.Event | None = None,
) -> TotalsT:
    """Do the work for all problems that the store has no record of, and record each.

    A problem that fails is recorded with its error, and the run goes on.

    Args:
        name: of the method, in the records.
        totals: of no records at all.
        max_in_flight: problems worked on at the same time, at least 1.
        max_retries: how often a problem is tried again after an engine failed on it.
        retry_seconds: wait before the first retry; each further wait is twice as long.
        stop: once it is set, no further problem is taken; those in flight are finished.

    Returns:
        The totals over all records of this method and seed, earlier sessions included.

    Raises:
        StoreError: if a record cannot be written.
        ConfigurationError: if the work cannot be done at all.
        DataError: if two problems have the same id.
    """
    repeated = [key for key, count in Counter(item.id for item in problems).items() if count > 1]
    if repeated:
        raise DataError(f"several problems have the id {repeated[0]!r}; ids must be unique")
    start = time.monotonic()
    stop = stop or asyncio.Event()
    progress = progress or Silent()
    for head in store.heads(name, seed):
        totals = totals.add(head)
    earlier_seconds = _seconds_of_sessions(store.heads(name, seed))

    async def finish(problem: Problem) -> None:
        nonlocal totals
        record = await attempt(problem)
        if record is not None:
            store.append(record)
            totals = totals.add(record)
            progress.update(totals)

    async def attempt(problem: Problem) -> Record | None:
        problem_start = time.monotonic()
        number = 0
        while True:
            number += 1
            attempt = Attempt(
                number=number,
                session=store.session,
                run_start=start,
                problem_start=problem_start,
            )
            try:
                return await work.record(problem, attempt)
            except (ConfigurationError, StoreError):
                raise  # as wrong for every other problem
            except Exception as error:
                if is_transient(error):
                    if stop.is_set():
                        return None  # left for the session that resumes the run
                    if number <= max_retries:
                        await asyncio.sleep(retry_seconds * 2 ** (number - 1))
                        continue
                _log.debug("%s failed on problem %s", name, problem.id, exc_info=error)
                return work.record_of_failure(problem, error, attempt)

    progress.begin(name, num_problems=len(problems), totals=totals)
    left = (item for item in problems if RecordKey(name, item.id, seed) not in store)
    try:
        await _for_each(left, finish, max_in_flight=max_in_flight, stop=stop)
    finally:
        progress.end()
        seconds = earlier_seconds + time.monotonic() - start
        sums = asdict(cast("Any", totals))
        store.append_metrics(
            {"method": name, "seed": seed, "wall_seconds": round(seconds, 3), **sums}
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
