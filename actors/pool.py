"""Spreads requests over the replicas of an engine and survives their crashes.

    call ──► waits for room ──► a replica ──► answer
                  ▲                 │
                  └── lost with it ─┘   (the replica meanwhile starts again)

Knows nothing of Ray: a replica is whatever can be started, called and closed.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from typing import Any, Protocol

from actors.engine import EngineDeadError
from prm_search.concurrency import gather_all
from prm_search.errors import EngineError

_log = logging.getLogger(__name__)

_MAX_HOMES = 10_000
"""Problems whose replica is remembered. Caches of engines hold far fewer."""


class Replica(Protocol):
    """One engine, somewhere."""

    async def start(self) -> None:
        """Wait until the engine runs, be it for the first time or after a crash.

        Raises:
            EngineError: if it cannot be started, or not once more.
        """
        ...

    async def call(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Call a method of the engine.

        Raises:
            EngineDeadError: if the engine was lost before it answered.
        """
        ...

    async def close(self) -> None:
        """Stop the engine and whatever it runs in."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class PoolCounters:
    """What a pool has done and is doing."""

    num_requests: int
    """Calls so far."""
    num_retries: int
    """Requests sent once more because their replica was lost."""
    num_restarts: int
    """Replicas that came back after a crash."""
    num_in_flight: int
    """Requests that replicas hold now."""
    num_waiting: int
    """Requests that wait for room in a replica now."""
    num_running: int
    """Replicas that take requests now."""


class _State(Enum):
    STARTING = auto()
    RUNNING = auto()
    DEAD = auto()


class _Slot:
    """A replica and how it is doing."""

    def __init__(self, replica: Replica, state: _State) -> None:
        self.replica = replica
        self.state = state
        self.num_in_flight = 0
        self.num_starts = 0

    def has_room(self, max_queue: int) -> bool:
        return self.state is _State.RUNNING and self.num_in_flight < max_queue


class Pool:
    """Replicas of one engine that take each other's place.

    Of the replicas with room, a request goes to the one that served its problem last, where the
    prefix is cached, or to the least loaded one if that would be too uneven. Requests wait in
    the order of their arrival while there is no room. A request whose replica is lost is redone
    on any replica, so that each call has exactly one answer.
    """

    def __init__(
        self,
        replicas: Sequence[Replica],
        *,
        max_queue: int,
        max_imbalance: int,
        max_retries: int,
        are_running: bool = False,
    ) -> None:
        """See `actors.placement.Placement` for the limits.

        Args:
            replicas: of one engine.
            are_running: whether another pool has started the replicas, and closes them.
        """
        state = _State.RUNNING if are_running else _State.STARTING
        self._slots = [_Slot(replica, state) for replica in replicas]
        self._max_queue = max_queue
        self._max_imbalance = max_imbalance
        self._max_retries = max_retries
        self._homes: OrderedDict[str, tuple[_Slot, int]] = OrderedDict()
        self._waiting: deque[tuple[str, asyncio.Future[_Slot]]] = deque()
        self._recoveries: set[asyncio.Task[None]] = set()
        self._death: EngineError | None = None
        self._num_requests = 0
        self._num_retries = 0
        self._num_restarts = 0

    def share(self, num_sharers: int) -> Callable[[], Pool]:
        """What makes a pool over the same replicas in another process, where they are shared.

        Each pool takes replicas that died for running ones until it finds out, and knows the
        load of its own requests alone.

        Args:
            num_sharers: pools that divide the room of the replicas between them.
        """
        return partial(
            Pool,
            self.replicas,
            max_queue=-(-self._max_queue // num_sharers),
            max_imbalance=self._max_imbalance,
            max_retries=self._max_retries,
            are_running=True,
        )

    @property
    def counters(self) -> PoolCounters:
        """What the pool has done and is doing."""
        return PoolCounters(
            num_requests=self._num_requests,
            num_retries=self._num_retries,
            num_restarts=self._num_restarts,
            num_in_flight=sum(slot.num_in_flight for slot in self._slots),
            num_waiting=len(self._waiting),
            num_running=sum(slot.state is _State.RUNNING for slot in self._slots),
        )

    @property
    def replicas(self) -> tuple[Replica, ...]:
        """All of them, dead ones included."""
        return tuple(slot.replica for slot in self._slots)

    async def start(self) -> None:
        """Start all replicas side by side.

        Raises:
            PrmSearchError: if one of them could not be started.
        """
        results = await asyncio.gather(
            *(self._start(slot) for slot in self._slots), return_exceptions=True
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def close(self) -> None:
        """Stop all replicas. Requests that still wait fail."""
        for task in self._recoveries:
            task.cancel()
        for slot in self._slots:
            slot.state = _State.DEAD
        self._end(EngineError("the engines are closed"))
        await asyncio.gather(
            *(slot.replica.close() for slot in self._slots), return_exceptions=True
        )

    async def call(self, problem_id: str, method: str, *arguments: Any, **options: Any) -> Any:
        """Call a method of some replica's engine.

        Args:
            problem_id: what the request is about; requests about the same problem share
                prefixes.

        Raises:
            EngineError: if the request was lost too often, or no replica is left.
            Exception: whatever the engine raises.
        """
        self._num_requests += 1
        num_losses = 0
        while True:
            slot = await self._acquire(problem_id)
            num_starts = slot.num_starts
            try:
                return await slot.replica.call(method, *arguments, **options)
            except EngineDeadError as error:
                self._lose(slot, num_starts, error)
                num_losses += 1
                if num_losses > self._max_retries:
                    raise EngineError(
                        f"a request of problem {problem_id!r} was given up: the engine died "
                        f"{num_losses} times while it worked on it; at last: {error}"
                    ) from error
                self._num_retries += 1
            finally:
                slot.num_in_flight -= 1
                self._admit()

    async def broadcast(self, method: str, *arguments: Any, **options: Any) -> list[Any]:
        """Call a method of every replica's engine, beside the requests.

        Returns:
            The answers. Replicas that are down, or are lost before they answer, give none:
            they come back as they were made.

        Raises:
            Exception: whatever an engine raises.
        """

        async def call(slot: _Slot) -> list[Any]:
            num_starts = slot.num_starts
            try:
                return [await slot.replica.call(method, *arguments, **options)]
            except EngineDeadError as error:
                self._lose(slot, num_starts, error)
                return []

        running = [slot for slot in self._slots if slot.state is _State.RUNNING]
        return [answer for answers in await gather_all(map(call, running)) for answer in answers]

    async def _acquire(self, problem_id: str) -> _Slot:
        if self._death is not None:
            raise EngineError(str(self._death)) from self._death
        if not self._waiting and (slot := self._choose(problem_id)) is not None:
            return slot
        granted = asyncio.get_running_loop().create_future()
        self._waiting.append((problem_id, granted))
        try:
            return await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled() and granted.exception() is None:
                granted.result().num_in_flight -= 1
            self._admit()
            raise

    def _admit(self) -> None:
        """Give room to requests that wait for it, first come, first served."""
        while self._waiting:
            problem_id, granted = self._waiting[0]
            if not granted.done():
                slot = self._choose(problem_id)
                if slot is None:
                    return
                granted.set_result(slot)
            self._waiting.popleft()

    def _choose(self, problem_id: str) -> _Slot | None:
        """Take room in the best replica; None if all are full or down."""
        free = [slot for slot in self._slots if slot.has_room(self._max_queue)]
        if not free:
            return None
        best = min(free, key=lambda slot: slot.num_in_flight)
        home, num_starts = self._homes.pop(problem_id, (best, 0))
        if (
            home in free
            and home.num_starts == num_starts  # else it crashed and its cache is empty
            and home.num_in_flight - best.num_in_flight <= self._max_imbalance
        ):
            best = home
        self._homes[problem_id] = (best, best.num_starts)
        if len(self._homes) > _MAX_HOMES:
            self._homes.popitem(last=False)
        best.num_in_flight += 1
        return best

    def _lose(self, slot: _Slot, num_starts: int, error: EngineDeadError) -> None:
        """Begin to bring a replica back, once for all the requests that are lost with it."""
        if slot.state is not _State.RUNNING or slot.num_starts != num_starts:
            return
        slot.state = _State.STARTING
        _log.warning("an engine died and is started again: %s", error)
        task = asyncio.create_task(self._recover(slot, error))
        self._recoveries.add(task)
        task.add_done_callback(self._recoveries.discard)

    async def _recover(self, slot: _Slot, loss: EngineDeadError) -> None:
        try:
            await self._start(slot)
            self._num_restarts += 1
        except Exception as error:
            slot.state = _State.DEAD
            _log.error("an engine is dead for good: %s", error)
            if all(other.state is _State.DEAD for other in self._slots):
                self._end(EngineError(f"no engine is left: {error} (it began with: {loss})"))

    async def _start(self, slot: _Slot) -> None:
        await slot.replica.start()
        slot.num_starts += 1
        slot.state = _State.RUNNING
        self._admit()

    def _end(self, error: EngineError) -> None:
        """Refuse all further requests, and those that wait."""
        self._death = error
        while self._waiting:
            granted = self._waiting.popleft()[1]
            if not granted.done():
                granted.set_exception(EngineError(str(error)))
