"""Rewards asked for one by one, obtained in batches, and none of them twice.

    clients ──► known? under way? ──► queue (bounded) ──► batches side by side ──► source

Frameworks that ask for one rollout at a time would send one request per rollout through Ray or
HTTP. The engines batch tokens by themselves, so nothing is held back until the source is free:
a batch is whatever arrives within a moment.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from prm_search.budget import Ledger
from prm_search.errors import ConfigurationError, EngineError
from prm_search.rewards.reward import Reward, RewardSource
from prm_search.types import Trajectory


@dataclass(frozen=True, kw_only=True, slots=True)
class MicroBatching:
    """Limits of a `MicroBatcher`."""

    max_batch: int = 64
    """Rollouts in one call of the source."""
    max_wait_seconds: float = 0.005
    """How long a rollout waits for others; at least 0."""
    max_queue: int = 1024
    """Rollouts waiting or being rewarded. Further ones wait outside; a server asks `has_room`
    first and refuses them."""
    cache_size: int = 16384
    """Rewards remembered; 0 remembers none. One takes a few hundred bytes."""

    def __post_init__(self) -> None:
        for name, minimum in (("max_batch", 1), ("max_queue", 1), ("cache_size", 0)):
            if getattr(self, name) < minimum:
                raise ConfigurationError(
                    f"micro_batching.{name} is {getattr(self, name)}; it must be at least {minimum}"
                )
        if not 0 <= self.max_wait_seconds < float("inf"):
            raise ConfigurationError(
                f"micro_batching.max_wait_seconds is {self.max_wait_seconds}; it must be at "
                "least 0 and finite"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Counters:
    """What a micro-batcher has done and is doing, in rollouts except for the batches."""

    num_requests: int = 0
    num_cached: int = 0
    """Answered from memory."""
    num_shared: int = 0
    """Answered together with an equal one that was under way."""
    num_incomplete: int = 0
    """Rewards in which something failed. They are not remembered."""
    num_batches: int = 0
    """Calls of the source."""
    num_in_queue: int = 0
    """Waiting or being rewarded now."""


@dataclass(frozen=True, slots=True, eq=False)
class _Request:
    key: bytes
    rollout: Trajectory
    answer: asyncio.Future[Reward]


class MicroBatcher:
    """A source in front of a source.

    Equal rollouts (problem, steps and how they ended) have one reward. Whoever gives up waiting
    harms nobody: the reward is obtained and remembered all the same. Belongs to one event loop.
    """

    def __init__(self, source: RewardSource, settings: MicroBatching | None = None) -> None:
        self._source = source
        self._settings = settings or MicroBatching()
        self._room = asyncio.Semaphore(self._settings.max_queue)
        self._counters = Counters()
        self._waiting: list[_Request] = []
        self._timer: asyncio.TimerHandle | None = None
        self._batches: set[asyncio.Task[None]] = set()
        self._under_way: dict[bytes, asyncio.Future[Reward]] = {}
        self._known: OrderedDict[bytes, Reward] = OrderedDict()
        self._is_closed = False

    @property
    def ledger(self) -> Ledger:
        """What all calls so far have cost, by role."""
        return self._source.ledger

    @property
    def counters(self) -> Counters:
        """What has been done and is being done."""
        return self._counters

    def has_room(self, num_rollouts: int = 1) -> bool:
        """Whether so many rollouts can be asked for now without waiting outside the queue."""
        return self._counters.num_in_queue + num_rollouts <= self._settings.max_queue

    async def reward(self, rollouts: Sequence[Trajectory]) -> list[Reward]:
        """Rewards of some rollouts; see `prm_search.rewards.reward.RewardSource`.

        Waits while the queue is full.

        Raises:
            EngineError: if it is closed.
        """
        answers = [await self._ask(rollout) for rollout in rollouts]
        # Shielded: one who gives up must not take the reward from those who share it.
        return [await asyncio.shield(answer) for answer in answers]

    def forget(self) -> None:
        """Forget all rewards, because the source has changed. Those under way are delivered."""
        self._known.clear()
        self._under_way.clear()

    async def close(self) -> None:
        """Finish what is in the queue and accept nothing more."""
        self._is_closed = True
        self._send()
        while self._batches:
            await asyncio.wait(self._batches)

    async def _ask(self, rollout: Trajectory) -> asyncio.Future[Reward]:
        self._count(num_requests=1)
        key = _key(rollout)
        if (answer := self._find(key)) is not None:
            return answer
        await self._room.acquire()
        answer = self._find(key)  # an equal one may have come while this one waited
        if answer is not None or self._is_closed:
            self._room.release()
            if answer is None:
                raise EngineError("the source of rewards is closed")
            return answer
        answer = asyncio.get_running_loop().create_future()
        # Its error is for whoever waits; nobody may.
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._under_way[key] = answer
        self._count(num_in_queue=1)
        self._waiting.append(_Request(key, rollout, answer))
        if len(self._waiting) >= self._settings.max_batch:
            self._send()
        elif self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._settings.max_wait_seconds, self._send)
        return answer

    def _find(self, key: bytes) -> asyncio.Future[Reward] | None:
        if (reward := self._known.get(key)) is not None:
            self._count(num_cached=1)
            self._known.move_to_end(key)
            answer = asyncio.get_running_loop().create_future()
            answer.set_result(reward)
            return answer
        if (answer := self._under_way.get(key)) is not None:
            self._count(num_shared=1)
        return answer

    def _send(self) -> None:
        """Hand everything that waits to the source. At most one batch, as each fills at once."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        batch, self._waiting = self._waiting, []
        if batch:
            self._count(num_batches=1)
            task = asyncio.get_running_loop().create_task(self._work(batch))
            self._batches.add(task)
            task.add_done_callback(self._batches.discard)

    async def _work(self, batch: Sequence[_Request]) -> None:
        try:
            rewards = await self._source.reward([request.rollout for request in batch])
            for request, reward in zip(batch, rewards, strict=True):
                self._remember(request, reward)
                request.answer.set_result(reward)
        except Exception as error:  # whatever it is, those who wait have to learn of it
            for request in batch:
                if not request.answer.done():
                    request.answer.set_exception(error)
        finally:
            for request in batch:
                request.answer.cancel()  # does nothing unless this task was cancelled
                if self._under_way.get(request.key) is request.answer:
                    del self._under_way[request.key]
                self._count(num_in_queue=-1)
                self._room.release()

    def _remember(self, request: _Request, reward: Reward) -> None:
        if reward.failures:
            self._count(num_incomplete=1)
            return
        if self._under_way.get(request.key) is not request.answer:
            return  # forgotten while under way: it may come from the source as it was before
        self._known[request.key] = reward
        if len(self._known) > self._settings.cache_size:
            self._known.popitem(last=False)

    def _count(self, **changes: int) -> None:
        self._counters = replace(
            self._counters,
            **{name: getattr(self._counters, name) + change for name, change in changes.items()},
        )


def _key(rollout: Trajectory) -> bytes:
    problem = rollout.problem
    parts = (problem.id, problem.prompt, problem.answer, rollout.stop_reason)
    steps = tuple(step.text for step in rollout.steps)
    return hashlib.blake2b(repr((parts, steps)).encode(), digest_size=16).digest()
