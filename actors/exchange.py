"""Many small calls of an actor as a few large ones.

    caller:  calls ──► Courier ══ visit ══► Desk ──► one task for each call   :actor
             answers ◄──          ◄════════      ◄── whatever is done by then

Ray takes about a millisecond of computing for a call, on either side, however small it is. So
calls made at the same moment travel together, and so do the answers that are there at the same
moment. No call waits for the answer of another one.
"""

from __future__ import annotations

import asyncio
import pickle
import traceback
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol
from uuid import uuid4

from actors.engine import EngineDeadError
from prm_search.errors import EngineError
from prm_search.value import Value


@dataclass(frozen=True, kw_only=True, slots=True)
class Request(Value):
    """A call on its way."""

    number: int
    """Of all calls of its caller, in the order in which they were made."""
    method: str
    arguments: bytes
    """Pickled; one call's cannot spoil those of another."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer(Value):
    """What became of a call."""

    number: int
    value: bytes = b""
    """Pickled."""
    error: Exception | None = None
    trace: str = ""
    """Where the error was raised."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Load(Value):
    """What a visitor brings to a desk."""

    caller: str
    """Tells callers apart."""
    desk: str | None
    """Where earlier requests of the caller are; None if there are none."""
    requests: Sequence[Request]
    """New ones."""
    cancelled: Sequence[int]
    """Numbers of earlier requests that nobody waits for any more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Return(Value):
    """What a visitor takes home."""

    desk: str
    answers: Sequence[Answer]


class Visit(Protocol):
    """Brings requests, and takes home what is done; see `Desk.exchange`."""

    async def __call__(self, load: Load) -> Return:
        """Wait until something is done.

        Raises:
            EngineDeadError: if the actor's process is gone.
        """
        ...


class Desk:
    """Takes requests and gives answers, where the engine is."""

    def __init__(self, work: Callable[..., Awaitable[Any]]) -> None:
        """Takes what a call does: `work(method, *arguments, **options)`."""
        self._work = work
        self._name = uuid4().hex
        self._tasks: dict[str, dict[int, asyncio.Task[None]]] = defaultdict(dict)
        self._answers: dict[str, list[Answer]] = defaultdict(list)
        self._visitors: dict[str, asyncio.Future[bool]] = {}

    async def exchange(self, load: Load) -> Return:
        """Begin the work on some requests, and give all answers as soon as there is one.

        A visitor who waits is sent home when there is nothing to wait for, and without answers when
        the next one of the same caller comes: perhaps its caller has given it up.

        Raises:
            EngineDeadError: if earlier requests were at another desk, which is gone.
        """
        if load.desk not in (None, self._name):
            raise EngineDeadError("its process was started again, unnoticed")
        caller = load.caller
        tasks = self._tasks[caller]
        for number in load.cancelled:
            if task := tasks.get(number):
                task.cancel()
        for request in load.requests:
            task = tasks[request.number] = asyncio.create_task(self._answer(caller, request))
            task.add_done_callback(partial(self._end, caller, request.number))
        self._wake(caller, has_answers=False)
        if tasks and not self._answers[caller]:
            has_answers = self._visitors[caller] = asyncio.get_running_loop().create_future()
            if not await has_answers:
                return Return(desk=self._name, answers=())
        return Return(desk=self._name, answers=self._answers.pop(caller, []))

    async def _answer(self, caller: str, request: Request) -> None:
        try:
            arguments, options = pickle.loads(request.arguments)
            value = pickle.dumps(await self._work(request.method, *arguments, **options))
            self._answers[caller].append(Answer(number=request.number, value=value))
        except Exception as error:
            trace = "".join(traceback.format_exception(error))
            self._answers[caller].append(
                Answer(number=request.number, error=_sendable(error), trace=trace)
            )

    def _end(self, caller: str, number: int, _: asyncio.Task[None]) -> None:
        del self._tasks[caller][number]
        self._wake(caller, has_answers=True)

    def _wake(self, caller: str, *, has_answers: bool) -> None:
        visitor = self._visitors.pop(caller, None)
        if visitor is not None and not visitor.done():
            visitor.set_result(has_answers)


class ActorTraceback(Exception):
    """Where an error was raised in the process of an actor."""


class Courier:
    """Makes calls, where the caller is."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._caller = uuid4().hex
        self._desk: str | None = None
        self._num_calls = 0
        self._requests: list[Request] = []
        self._cancelled: list[int] = []
        self._pending: dict[int, asyncio.Future[Any]] = {}
        self._visits: set[asyncio.Task[None]] = set()
        self._is_leaving = False

    async def call(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Call a method of the engine.

        Raises:
            EngineDeadError: if the actor's process was lost before it answered.
            Exception: whatever the engine raises, or pickling does.
        """
        sent = pickle.dumps((arguments, options))
        self._num_calls += 1
        number = self._num_calls
        future = self._pending[number] = asyncio.get_running_loop().create_future()
        self._requests.append(Request(number=number, method=method, arguments=sent))
        self._leave_soon()
        try:
            return await future
        except asyncio.CancelledError:
            if self._pending.pop(number, None):
                self._cancelled.append(number)  # the engine need not finish it
                self._leave_soon()
            raise

    def _leave_soon(self) -> None:
        """Whatever else is called at this moment comes along."""
        if not self._is_leaving:
            self._is_leaving = True
            asyncio.get_running_loop().call_soon(self._leave)

    def _leave(self) -> None:
        self._is_leaving = False
        has_earlier = len(self._pending) > len(self._requests)
        load = Load(
            caller=self._caller,
            desk=self._desk if has_earlier else None,
            requests=self._requests,
            cancelled=self._cancelled,
        )
        self._requests, self._cancelled = [], []
        task = asyncio.create_task(self._go(load, last=self._num_calls))
        self._visits.add(task)
        task.add_done_callback(self._come_back)

    async def _go(self, load: Load, *, last: int) -> None:
        try:
            home = await self._visit(load)
        except Exception as error:
            self._desk = None
            # Later calls may have reached the actor after it was started again.
            for number in [number for number in self._pending if number <= last]:
                self._pending.pop(number).set_exception(error)
            return
        self._desk = home.desk
        for answer in home.answers:
            future = self._pending.pop(answer.number, None)
            if future is None or future.done():
                continue
            if answer.error is not None:
                answer.error.__cause__ = ActorTraceback(answer.trace)
                future.set_exception(answer.error)
                continue
            try:
                future.set_result(pickle.loads(answer.value))
            except Exception as error:
                future.set_exception(error)

    def _come_back(self, visit: asyncio.Task[None]) -> None:
        self._visits.discard(visit)
        if self._pending and not self._visits:
            self._leave_soon()


def _sendable(error: Exception) -> Exception:
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return EngineError(f"{type(error).__name__}: {error}")
    return error
