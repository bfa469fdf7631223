"""Many small calls of an actor as a few large ones.

    caller:  calls ──► Courier ══ visit ══► Desk ──► one task for each call   :actor
                               ── drop ───►
             answers ◄──          ◄════════      ◄── whatever is done by then

Ray takes about a millisecond of computing for a call, on either side, however small it is, and
half of that is for its answer. So calls made at the same moment travel together, and so do the
answers that are there at the same moment. One visitor at a time waits for answers; meanwhile,
further calls are dropped, and nobody waits for that. No call waits for another one's answer.
"""

from __future__ import annotations

import asyncio
import pickle
import traceback
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
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
    arguments: tuple[Any, ...]
    options: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer(Value):
    """What became of a call."""

    number: int
    value: Any = None
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


class Way(Protocol):
    """How to come to the desk."""

    async def visit(self, load: Load) -> Return:
        """Bring requests, wait until something is done and take it home; see `Desk.exchange`.

        Raises:
            EngineDeadError: if the actor's process is gone.
        """
        ...

    def drop(self, load: Load) -> None:
        """Bring requests; see `Desk.take`. They are lost where a visit at the same time is lost."""
        ...


class Desk:
    """Takes requests and gives answers, where the engine is."""

    def __init__(self, work: Callable[..., Awaitable[Any]]) -> None:
        """Takes what a call does: `work(method, *arguments, **options)`."""
        self._work = work
        self._name = uuid4().hex
        self._tasks: dict[str, dict[int, asyncio.Task[None]]] = defaultdict(dict)
        self._answers: dict[str, list[Answer]] = defaultdict(list)
        self._visitors: dict[str, asyncio.Future[None]] = {}

    async def exchange(self, load: Load) -> Return:
        """Begin the work on some requests, and give all answers as soon as there is one.

        A visitor who waits is sent home when there is nothing to wait for, or when the next one of
        the same caller comes.

        Raises:
            EngineDeadError: if earlier requests were at another desk, which is gone.
        """
        self.take(load)
        caller = load.caller
        self._wake(caller)
        if self._tasks[caller] and not self._answers[caller]:
            self._visitors[caller] = asyncio.get_running_loop().create_future()
            await self._visitors[caller]
        return Return(desk=self._name, answers=self._answers.pop(caller, []))

    def take(self, load: Load) -> None:
        """Begin the work on some requests.

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

    async def _answer(self, caller: str, request: Request) -> None:
        try:
            value = await self._work(request.method, *request.arguments, **request.options)
            self._answers[caller].append(Answer(number=request.number, value=value))
        except Exception as error:
            trace = "".join(traceback.format_exception(error))
            self._answers[caller].append(
                Answer(number=request.number, error=_sendable(error), trace=trace)
            )

    def _end(self, caller: str, number: int, _: asyncio.Task[None]) -> None:
        del self._tasks[caller][number]
        self._wake(caller)

    def _wake(self, caller: str) -> None:
        visitor = self._visitors.pop(caller, None)
        if visitor is not None and not visitor.done():
            visitor.set_result(None)


class ActorTraceback(Exception):
    """Where an error was raised in the process of an actor."""


class Courier:
    """Makes calls, where the caller is."""

    def __init__(self, way: Way) -> None:
        self._way = way
        self._caller = uuid4().hex
        self._desk: str | None = None
        self._num_calls = 0
        self._num_sent = 0
        self._requests: list[Request] = []
        self._cancelled: list[int] = []
        self._pending: dict[int, asyncio.Future[Any]] = {}
        self._visit: asyncio.Task[None] | None = None
        self._is_leaving = False

    async def call(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Call a method of the engine.

        Raises:
            EngineDeadError: if the actor's process was lost before it answered.
            Exception: whatever the engine raises.
        """
        self._num_calls += 1
        number = self._num_calls
        future = self._pending[number] = asyncio.get_running_loop().create_future()
        self._requests.append(
            Request(number=number, method=method, arguments=arguments, options=options)
        )
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
        self._requests, self._cancelled, self._num_sent = [], [], self._num_calls
        if self._visit is None:
            self._visit = asyncio.create_task(self._go(load))
            return
        try:
            self._way.drop(load)
        except Exception as error:
            self._fail([request.number for request in load.requests], error)

    async def _go(self, load: Load) -> None:
        try:
            home = await self._way.visit(load)
        except Exception as error:
            self._visit = self._desk = None
            # What was dropped in the meantime is lost as well, or nobody will ask for its answer.
            self._fail([number for number in self._pending if number <= self._num_sent], error)
            return
        self._visit, self._desk = None, home.desk
        for answer in home.answers:
            future = self._pending.pop(answer.number, None)
            if future is None or future.done():
                continue
            if answer.error is None:
                future.set_result(answer.value)
            else:
                answer.error.__cause__ = ActorTraceback(answer.trace)
                future.set_exception(answer.error)
        if self._pending:
            self._leave_soon()

    def _fail(self, numbers: Sequence[int], error: Exception) -> None:
        for number in numbers:
            future = self._pending.pop(number, None)
            if future is not None and not future.done():
                future.set_exception(error)


def _sendable(error: Exception) -> Exception:
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return EngineError(f"{type(error).__name__}: {error}")
    return error
