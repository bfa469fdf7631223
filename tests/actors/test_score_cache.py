from __future__ import annotations

import asyncio
import math

import pytest

from actors.score_cache import ScoreCache
from prm_search.errors import EngineError


class Computer:
    """Scores a key by its length, and remembers what it was asked."""

    def __init__(self, latency: float = 0.0) -> None:
        self.asked: list[list[bytes]] = []
        self.latency = latency

    async def __call__(self, keys):
        self.asked.append(list(keys))
        await asyncio.sleep(self.latency)
        return {key: len(key) / 10 for key in keys}


async def test_only_new_scores_are_computed():
    cache, compute = ScoreCache(), Computer()

    assert await cache.get([b"a", b"ab"], compute) == [0.1, 0.2]
    assert await cache.get([b"a", b"ab", b"abc"], compute) == [0.1, 0.2, 0.3]
    assert compute.asked == [[b"a", b"ab"], [b"abc"]]


async def test_concurrent_requests_share_what_is_being_computed():
    cache, compute = ScoreCache(), Computer(latency=0.01)

    first, second = await asyncio.gather(
        cache.get([b"a", b"ab"], compute), cache.get([b"a", b"abc"], compute)
    )

    assert (first, second) == ([0.1, 0.2], [0.1, 0.3])
    assert compute.asked == [[b"a", b"ab"], [b"abc"]]


async def test_who_waits_for_a_failure_computes_anew():
    cache, compute = ScoreCache(), Computer()

    async def fail(keys):
        await asyncio.sleep(0.01)
        raise EngineError("broken")

    broken, fine = await asyncio.gather(
        cache.get([b"a"], fail), cache.get([b"a"], compute), return_exceptions=True
    )

    assert isinstance(broken, EngineError)
    assert fine == [0.1]


async def test_cancelling_one_request_leaves_the_others_alone():
    cache, slow, compute = ScoreCache(), Computer(latency=10), Computer()
    cancelled = asyncio.create_task(cache.get([b"a"], slow))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(cache.get([b"a"], compute))
    await asyncio.sleep(0)
    cancelled.cancel()

    assert await waiting == [0.1]
    with pytest.raises(asyncio.CancelledError):
        await cancelled


async def test_the_least_recently_used_scores_are_forgotten():
    cache, compute = ScoreCache(max_entries=2), Computer()
    for keys in ([b"a"], [b"b"], [b"a"], [b"c"], [b"a"], [b"b"]):
        await cache.get(keys, compute)

    assert compute.asked == [[b"a"], [b"b"], [b"c"], [b"b"]]


async def test_nan_is_not_kept():
    cache = ScoreCache()

    async def nan(keys):
        return dict.fromkeys(keys, math.nan)

    assert math.isnan((await cache.get([b"a"], nan))[0])
    assert await cache.get([b"a"], Computer()) == [0.1]


async def test_after_clear_scores_are_computed_again():
    cache, compute = ScoreCache(), Computer()
    await cache.get([b"a"], compute)

    cache.clear()

    assert await cache.get([b"a"], compute) == [0.1]
    assert compute.asked == [[b"a"], [b"a"]]


async def test_what_was_being_computed_during_clear_is_not_kept():
    cache, compute = ScoreCache(), Computer(latency=0.01)
    request = asyncio.create_task(cache.get([b"a"], compute))
    await asyncio.sleep(0)

    cache.clear()

    assert await request == [0.1]
    await cache.get([b"a"], compute)
    assert compute.asked == [[b"a"], [b"a"]]
