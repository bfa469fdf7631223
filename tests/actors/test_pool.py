"""Routing, back-pressure and redone requests of a pool, with replicas in this process."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.engine import EngineDeadError
from prm_search.errors import ContextLengthError, EngineError
from tests.actors.replicas import FakeReplica, pool_of, settle


async def test_requests_of_different_problems_are_spread_evenly() -> None:
    replicas = [FakeReplica(is_open=False) for _ in range(3)]
    pool = await pool_of(*replicas)
    tasks = [asyncio.create_task(pool.call(f"p{index}", "f")) for index in range(12)]
    await settle()
    assert [len(replica.calls) for replica in replicas] == [4, 4, 4]
    for replica in replicas:
        replica.gate.set()
    await asyncio.gather(*tasks)
    assert pool.counters.num_in_flight == 0


async def test_a_problem_stays_where_its_prefix_is_cached() -> None:
    replicas = [FakeReplica(), FakeReplica()]
    pool = await pool_of(*replicas)
    replicas[0].gate.clear()
    held = asyncio.create_task(pool.call("other", "f"))
    await settle()
    await pool.call("p", "f")
    replicas[0].gate.set()
    await held
    for _ in range(5):
        await pool.call("p", "f")
    assert [len(replica.calls) for replica in replicas] == [1, 6]


async def test_a_problem_moves_when_its_replica_is_much_busier() -> None:
    replicas = [FakeReplica(is_open=False), FakeReplica(is_open=False)]
    pool = await pool_of(*replicas, max_imbalance=2)
    tasks = [asyncio.create_task(pool.call("p", "f")) for _ in range(8)]
    await settle()
    loads = sorted(len(replica.calls) for replica in replicas)
    assert sum(loads) == 8
    assert loads[1] - loads[0] <= 3
    for replica in replicas:
        replica.gate.set()
    await asyncio.gather(*tasks)


async def test_a_replica_never_holds_more_than_its_queue() -> None:
    replica = FakeReplica(is_open=False)
    pool = await pool_of(replica, max_queue=3)
    tasks = [asyncio.create_task(pool.call("p", "f", index)) for index in range(10)]
    await settle()
    assert len(replica.calls) == 3
    assert pool.counters.num_in_flight == 3
    assert pool.counters.num_waiting == 7
    replica.gate.set()
    assert await asyncio.gather(*tasks) == [("f", index) for index in range(10)]
    assert pool.counters.num_waiting == 0


async def test_waiting_requests_are_served_in_order() -> None:
    replica = FakeReplica(is_open=False)
    pool = await pool_of(replica, max_queue=1)
    tasks = [asyncio.create_task(pool.call("p", f"f{index}")) for index in range(5)]
    await settle()
    replica.gate.set()
    await asyncio.gather(*tasks)
    assert replica.calls == [f"f{index}" for index in range(5)]


async def test_cancelled_callers_leave_no_room_taken() -> None:
    replica = FakeReplica(is_open=False)
    pool = await pool_of(replica, max_queue=1)
    tasks = [asyncio.create_task(pool.call("p", f"f{index}")) for index in range(4)]
    await settle()
    tasks[0].cancel()  # it is running: its room goes to the next
    tasks[2].cancel()  # it waits
    await settle()
    replica.gate.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(result, asyncio.CancelledError) for result in results] == [
        True,
        False,
        True,
        False,
    ]
    assert pool.counters.num_in_flight == 0
    assert pool.counters.num_waiting == 0


async def test_a_caller_cancelled_just_as_it_gets_room_gives_it_back() -> None:
    replica = FakeReplica(is_open=False)
    pool = await pool_of(replica, max_queue=1)
    first = asyncio.create_task(pool.call("p", "first"))
    second = asyncio.create_task(pool.call("p", "second"))
    third = asyncio.create_task(pool.call("p", "third"))
    await settle()
    first.cancel()
    await asyncio.sleep(0)  # the room of the first is granted to the second, which has not run
    second.cancel()
    replica.gate.set()
    assert await third == ("third",)
    await asyncio.gather(first, second, return_exceptions=True)
    assert pool.counters.num_in_flight == 0


async def test_requests_lost_in_a_crash_are_redone_once_each() -> None:
    replicas = [FakeReplica(is_open=False), FakeReplica(is_open=False)]
    pool = await pool_of(*replicas)
    tasks = [asyncio.create_task(pool.call(f"p{index}", "f", index)) for index in range(10)]
    await settle()
    replicas[0].kill()
    await settle()
    for replica in replicas:
        replica.gate.set()
    assert await asyncio.gather(*tasks) == [("f", index) for index in range(10)]
    assert sum(replica.num_answers for replica in replicas) == 10
    counters = pool.counters
    assert (counters.num_requests, counters.num_retries, counters.num_restarts) == (10, 5, 1)
    assert counters.num_running == 2


async def test_a_problem_is_free_to_move_after_its_replica_crashed() -> None:
    replicas = [FakeReplica(), FakeReplica()]
    pool = await pool_of(*replicas)
    await pool.call("p", "f")
    replicas[0].gate.clear()
    task = asyncio.create_task(pool.call("p", "f"))
    await settle()
    replicas[0].kill()
    await task
    replicas[0].gate.set()
    await settle()
    await pool.call("p", "f")
    assert len(replicas[1].calls) == 2  # the retry, and what follows it


async def test_requests_wait_while_the_only_replica_starts_again() -> None:
    replica = FakeReplica(is_open=False)
    pool = await pool_of(replica)
    task = asyncio.create_task(pool.call("p", "f"))
    await settle()
    replica.start_gate.clear()
    replica.kill()
    await settle()
    assert pool.counters.num_running == 0
    assert pool.counters.num_waiting == 1
    replica.gate.set()
    replica.start_gate.set()
    assert await task == ("f",)
    assert replica.num_starts == 2


async def test_a_request_that_kills_every_engine_is_given_up() -> None:
    class Fragile(FakeReplica):
        async def call(self, method: str, *arguments: Any, **options: Any) -> Any:
            if method == "poison":
                raise EngineDeadError("illegal instruction")
            return await super().call(method, *arguments, **options)

    pool = await pool_of(Fragile(), Fragile(), max_retries=2)
    with pytest.raises(EngineError, match=r"'p'.*died 3 times.*illegal instruction"):
        await pool.call("p", "poison")
    await settle()
    assert await pool.call("p", "f") == ("f",)
    assert pool.counters.num_retries == 2


async def test_without_a_replica_left_every_request_fails_with_the_cause() -> None:
    replica = FakeReplica(is_open=False, num_lives=1)
    pool = await pool_of(replica)
    tasks = [asyncio.create_task(pool.call("p", "f")) for _ in range(4)]
    await settle()
    replica.kill()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, EngineError) for result in results)
    with pytest.raises(EngineError, match=r"no life left.*killed"):
        await pool.call("p", "f")


async def test_the_others_take_over_from_a_replica_that_is_dead_for_good() -> None:
    replicas = [FakeReplica(is_open=False, num_lives=1), FakeReplica(is_open=False)]
    pool = await pool_of(*replicas)
    tasks = [asyncio.create_task(pool.call(f"p{index}", "f")) for index in range(4)]
    await settle()
    replicas[0].kill()
    replicas[1].gate.set()
    await asyncio.gather(*tasks)
    assert replicas[1].num_answers == 4
    assert pool.counters.num_running == 1


async def test_errors_of_the_engine_arrive_as_they_are_and_are_not_retried() -> None:
    replica = FakeReplica()
    pool = await pool_of(replica)
    with pytest.raises(ContextLengthError) as caught:
        await pool.call("p", "too_long")
    assert caught.value.num_tokens == 9
    assert len(replica.calls) == 1
    assert pool.counters.num_in_flight == 0


async def test_a_replica_that_cannot_start_fails_the_start_of_the_pool() -> None:
    with pytest.raises(EngineError, match="no life left"):
        await pool_of(FakeReplica(), FakeReplica(num_lives=0))


async def test_closing_ends_the_replicas_and_what_waits() -> None:
    replica = FakeReplica(is_open=False)
    pool = await pool_of(replica, max_queue=1)
    tasks = [asyncio.create_task(pool.call("p", "f")) for _ in range(2)]
    await settle()
    await pool.close()
    replica.kill()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all("closed" in str(result) for result in results)
    assert replica.is_closed


@settings(deadline=None, max_examples=30)
@given(
    num_requests=st.integers(1, 40),
    num_replicas=st.integers(1, 4),
    max_queue=st.integers(1, 5),
    kills=st.lists(st.integers(0, 3), max_size=3),
)
def test_every_request_has_its_answer_whatever_crashes(
    num_requests: int, num_replicas: int, max_queue: int, kills: list[int]
) -> None:
    async def run() -> None:
        replicas = [FakeReplica(is_open=False) for _ in range(num_replicas)]
        pool = await pool_of(*replicas, max_queue=max_queue, max_retries=len(kills))
        tasks = [
            asyncio.create_task(pool.call(f"p{index % 5}", "f", index))
            for index in range(num_requests)
        ]
        for victim in kills:
            await settle()
            assert all(replica.crash is not None for replica in replicas)
            replicas[victim % num_replicas].kill()
        await settle()
        for replica in replicas:
            replica.gate.set()
        assert await asyncio.gather(*tasks) == [("f", index) for index in range(num_requests)]
        assert sum(replica.num_answers for replica in replicas) == num_requests
        assert pool.counters.num_in_flight == pool.counters.num_waiting == 0

    asyncio.run(run())


async def test_a_broadcast_reaches_every_running_replica():
    replicas = [FakeReplica(), FakeReplica(), FakeReplica(is_open=False)]
    pool = await pool_of(*replicas)
    answers = asyncio.create_task(pool.broadcast("forget"))
    await settle()

    replicas[2].kill()

    assert await answers == [("forget",), ("forget",)]
    await settle()
    assert pool.counters.num_restarts == 1
    await pool.close()


async def test_a_shared_pool_takes_running_replicas_as_they_are() -> None:
    replicas = [FakeReplica(is_open=False), FakeReplica(is_open=False)]
    pool = await pool_of(*replicas, max_queue=5)
    shared = [pool.share(num_sharers=3)() for _ in range(3)]
    tasks = [
        asyncio.create_task(part.call(f"p{number}", "f")) for part in shared for number in range(6)
    ]
    await settle()
    assert [part.counters.num_in_flight for part in shared] == [4, 4, 4]  # 5/3, rounded up, twice
    assert [replica.num_starts for replica in replicas] == [1, 1]
    for replica in replicas:
        replica.gate.set()
    await asyncio.gather(*tasks)


async def test_a_shared_pool_redoes_what_a_dead_replica_loses() -> None:
    replicas = [FakeReplica(is_open=False), FakeReplica()]
    pool = await pool_of(*replicas)
    shared = pool.share(num_sharers=1)()
    task = asyncio.create_task(shared.call("p", "f"))
    await settle()
    replicas[0].kill()
    assert await task == ("f",)
    await settle()
    assert shared.counters.num_restarts == 1
