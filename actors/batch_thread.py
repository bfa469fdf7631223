"""The thread that runs a model of transformers.

    coroutines ── jobs ──► waiting ──► batch ─┐
                                       batch ─┼─► one forward of each in turn ──► answers
                                       batch ─┘

A batch begins as soon as there is room and then runs beside the others, so that a request never
waits for a long sample of somebody else.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import torch

from actors.transformers_options import TransformersOptions
from prm_search.errors import EngineError, PrmSearchError

_MAX_BATCHES = 4
"""Batches that run side by side; with more of them, each would be too small."""
_GATHER_SECONDS = 0.002
"""How long an idle engine waits for more requests after the first."""

_log = logging.getLogger(__name__)

RequestT = TypeVar("RequestT")
ResultT = TypeVar("ResultT")


@dataclass(eq=False, slots=True)
class Job(Generic[RequestT, ResultT]):
    """A request and the place for its answer."""

    request: RequestT
    num_tokens: int
    """Of the prompt."""
    future: Future[ResultT] = field(default_factory=Future)

    @property
    def is_open(self) -> bool:
        """Whether somebody still waits for the answer."""
        return not self.future.done()

    def finish(self, result: ResultT) -> None:
        """Give the answer."""
        if self.future.set_running_or_notify_cancel():
            self.future.set_result(result)

    def fail(self, error: BaseException) -> None:
        """Give an error instead of the answer."""
        if self.is_open and self.future.set_running_or_notify_cancel():
            self.future.set_exception(error)


class BatchThread(Generic[RequestT, ResultT]):
    """Runs jobs in batches, in a thread of its own."""

    def __init__(
        self,
        run: Callable[[Sequence[Job[RequestT, ResultT]]], Iterator[None]],
        options: TransformersOptions,
    ) -> None:
        """Begin to wait for jobs.

        Args:
            run: computes a batch, yields after each forward, and finishes each job.
            options: limits of a batch.
        """
        self._run = run
        self._options = options
        self._waiting: deque[Job[RequestT, ResultT]] = deque()
        self._changed = threading.Condition()
        self._is_closed = False
        self._thread = threading.Thread(target=self._work, name="transformers", daemon=True)
        self._thread.start()

    async def submit(self, request: RequestT, *, num_tokens: int) -> ResultT:
        """Compute a request.

        Args:
            request: what to compute.
            num_tokens: of its prompt.

        Raises:
            EngineError: if the model failed, or the engine is closed.
        """
        job: Job[RequestT, ResultT] = Job(request, num_tokens)
        with self._changed:
            if self._is_closed:
                raise EngineError("the engine is closed")
            self._waiting.append(job)
            self._changed.notify()
        return await asyncio.wrap_future(job.future)

    async def close(self) -> None:
        """End the thread; jobs that are not finished fail."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        await asyncio.to_thread(self._thread.join)

    def _work(self) -> None:
        batches: deque[tuple[Iterator[None], list[Job[RequestT, ResultT]]]] = deque()
        while not self._is_closed:
            if not batches:
                self._wait()
            jobs = self._take([job for _, batch in batches for job in batch], len(batches))
            if jobs:
                batches.append((self._run(jobs), jobs))
            for _ in range(len(batches)):
                steps, jobs = batches.popleft()
                if _advance(steps, jobs):
                    batches.append((steps, jobs))
        for job in [*self._waiting, *(job for _, batch in batches for job in batch)]:
            job.fail(EngineError("the engine was closed while it worked"))

    def _wait(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closed)
            self._changed.wait_for(
                lambda: len(self._waiting) >= self._options.max_num_seqs or self._is_closed,
                timeout=_GATHER_SECONDS,
            )

    def _take(
        self, running: Sequence[Job[RequestT, ResultT]], num_batches: int
    ) -> list[Job[RequestT, ResultT]]:
        """Jobs of the next batch, first come, first served; none if there is no room."""
        room = self._options.max_num_seqs - sum(job.is_open for job in running)
        jobs: list[Job[RequestT, ResultT]] = []
        longest = 0
        if num_batches >= _MAX_BATCHES:
            return jobs
        with self._changed:
            while self._waiting and len(jobs) < room:
                job = self._waiting[0]
                longest = max(longest, job.num_tokens)
                if jobs and longest * (len(jobs) + 1) > self._options.max_batch_tokens:
                    break
                self._waiting.popleft()
                if job.is_open:
                    jobs.append(job)
        return jobs


def _advance(steps: Iterator[None], jobs: Sequence[Job[Any, Any]]) -> bool:
    """Compute one forward of a batch; False if the batch is done."""
    try:
        with torch.inference_mode():
            next(steps)
        return True
    except StopIteration:
        return False
    except torch.OutOfMemoryError as error:
        failure: BaseException = EngineError(
            f"out of memory: lower options.max_num_seqs or options.max_batch_tokens ({error})"
        )
    except PrmSearchError as error:
        failure = error
    except Exception as error:
        _log.debug("a batch failed", exc_info=error)
        failure = EngineError(f"the model failed: {type(error).__name__}: {error}")
    for job in jobs:
        job.fail(failure)
    return False
