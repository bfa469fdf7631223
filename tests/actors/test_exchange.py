"""Calls that travel together, without an actor between courier and desk."""

from __future__ import annotations

import asyncio
import pickle
import time
from collections.abc import Callable
from typing import Any

import pytest

from actors.engine import EngineDeadError
from actors.exchange import ActorTraceback, Courier, Desk, Load, Request, Return
from prm_search.errors import ContextLengthError, EngineError


class Unsendable(Exception):
    """An error that cannot be made again from its arguments."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first + second)


class Broken:
    """Can be pickled, and not unpickled."""

    def __reduce__(self) -> tuple[type[int], tuple[str]]:
        return int, ("no number",)


class Engine:
    def __init__(self) -> None:
        self.gates: dict[str, asyncio.Event] = {}
        self.cancelled: list[str] = []

    async def work(self, method: str, *arguments: Any, **options: Any) -> Any:
        match method:
            case "too_long":
                raise ContextLengthError(10, 5)
            case "unsendable":
                raise Unsendable("a", "b")
            case "unpicklable":
                return lambda: 0
            case "wait":
                try:
                    await self.gates.setdefault(arguments[0], asyncio.Event()).wait()
                except asyncio.CancelledError:
                    self.cancelled.append(arguments[0])
                    raise
        return (*arguments, *options.values())


class Road:
    """What Ray is in between: visits can be counted, and lost."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.sizes: list[int] = []
        self.num_out = 0
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def visit(self, load: Load) -> Return:
        self.sizes.append(len(load.requests))
        visit = asyncio.ensure_future(self.desk.exchange(load))
        self.num_out += 1
        await asyncio.wait([visit, self.lost], return_when=asyncio.FIRST_COMPLETED)
        self.num_out -= 1
        if self.lost.done():
            visit.cancel()
            raise EngineDeadError("the process is gone")
        return visit.result()


async def until_true(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.001)


@pytest.fixture
async def parts() -> tuple[Engine, Road, Courier]:
    engine = Engine()
    road = Road(Desk(engine.work))
    return engine, road, Courier(road.visit)


Parts = tuple[Engine, Road, Courier]


async def test_calls_made_at_the_same_moment_travel_together(parts: Parts) -> None:
    _, road, courier = parts
    answers = await asyncio.gather(*(courier.call("echo", index, more=1) for index in range(50)))
    assert answers == [(index, 1) for index in range(50)]
    assert road.sizes == [50]


async def test_no_call_waits_for_another_ones_answer(parts: Parts) -> None:
    engine, _, courier = parts
    slow = asyncio.create_task(courier.call("wait", "slow"))
    assert await courier.call("echo", 1) == (1,)
    assert await courier.call("echo", 2) == (2,)
    assert not slow.done()
    engine.gates["slow"].set()
    assert await slow == ("slow",)


async def test_two_callers_get_their_own_answers(parts: Parts) -> None:
    _, road, courier = parts
    other = Courier(road.visit)
    pairs = await asyncio.gather(
        *(who.call("echo", name) for who, name in ((courier, "a"), (other, "b")) for _ in range(3))
    )
    assert pairs == [("a",)] * 3 + [("b",)] * 3


async def test_errors_come_back_as_they_are_and_stay_with_their_call(parts: Parts) -> None:
    _, _, courier = parts
    error, unsendable, value = await asyncio.gather(
        courier.call("too_long"),
        courier.call("unsendable"),
        courier.call("echo", 1),
        return_exceptions=True,
    )
    assert isinstance(error, ContextLengthError)
    assert isinstance(error.__cause__, ActorTraceback)
    assert "raise ContextLengthError(10, 5)" in str(error.__cause__)
    assert isinstance(unsendable, EngineError)
    assert "Unsendable: ab" in str(unsendable)
    assert value == (1,)


async def test_what_cannot_be_pickled_fails_alone(parts: Parts) -> None:
    engine, _, courier = parts
    slow = asyncio.create_task(courier.call("wait", "slow"))
    sent, answered, broken, value = await asyncio.gather(
        courier.call("echo", lambda: 0),
        courier.call("unpicklable"),
        courier.call("echo", Broken()),
        courier.call("echo", 1),
        return_exceptions=True,
    )
    assert isinstance(sent, Exception)
    assert "pickle" in str(sent)
    assert isinstance(answered, Exception)
    assert "pickle" in str(answered)
    assert isinstance(broken, ValueError)
    assert value == (1,)
    engine.gates["slow"].set()
    assert await slow == ("slow",)


async def test_a_visitor_given_up_by_its_caller_takes_no_answers() -> None:
    desk = Desk(Engine().work)

    def load(number: int, method: str) -> Load:
        arguments = pickle.dumps(((str(number),), {}))
        request = Request(number=number, method=method, arguments=arguments)
        return Load(caller="a", desk=None, requests=[request], cancelled=[])

    given_up = asyncio.create_task(desk.exchange(load(1, "wait")))
    await asyncio.sleep(0.01)
    home = await desk.exchange(load(2, "echo"))
    assert [answer.number for answer in home.answers] == [2]
    assert not (await given_up).answers


async def test_a_cancelled_call_is_cancelled_in_the_engine(parts: Parts) -> None:
    engine, road, courier = parts
    task = asyncio.create_task(courier.call("wait", "forever"))
    await until_true(lambda: "forever" in engine.gates)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until_true(lambda: engine.cancelled == ["forever"])
    await until_true(lambda: road.num_out == 0)  # nobody waits at the desk for nothing
    assert await courier.call("echo", 1) == (1,)


async def test_what_is_lost_with_a_process_fails_and_later_calls_do_not(parts: Parts) -> None:
    engine, road, courier = parts
    lost = [asyncio.create_task(courier.call("wait", name)) for name in ("a", "b")]
    await until_true(lambda: len(engine.gates) == 2)
    road.lost.set_result(None)
    for task in lost:
        with pytest.raises(EngineDeadError):
            await task
    road.lost = asyncio.get_running_loop().create_future()
    assert await courier.call("echo", 1) == (1,)


async def test_a_process_that_was_started_again_unnoticed_is_found_out(parts: Parts) -> None:
    engine, road, courier = parts
    lost = asyncio.create_task(courier.call("wait", "a"))
    assert await courier.call("echo", 1) == (1,)
    assert not lost.done()
    road.desk = Desk(engine.work)
    for task in (asyncio.create_task(courier.call("echo", 2)), lost):
        with pytest.raises(EngineDeadError):
            await task
    assert await courier.call("echo", 3) == (3,)
