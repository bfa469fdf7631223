from __future__ import annotations

import asyncio

import pytest

from prm_search.budget import UNLIMITED, Budget
from prm_search.errors import EngineError
from prm_search.protocols import Until
from prm_search.search.exploration import Exploration
from prm_search.search.in_order import InOrder
from prm_search.types import Generation, Trajectory, Usage
from tests.search.scripted import PROBLEM, end, step


class GatedGenerator:
    """Answers a call when it is told to; the calls are told apart by their first letters."""

    def __init__(self) -> None:
        self.gates: list[asyncio.Event] = []
        self.num_cancelled = 0
        self.failing: set[int] = set()

    async def generate(
        self,
        prefix: Trajectory,
        *,
        num_samples: int,
        until: Until,
        seed: int,
        temperature: float | None = None,
    ) -> Generation:
        call = len(self.gates)
        self.gates.append(asyncio.Event())
        try:
            await self.gates[call].wait()
        except asyncio.CancelledError:
            self.num_cancelled += 1
            raise
        if call in self.failing:
            raise EngineError(f"call {call} failed")
        continuation = (step(end(call)),)
        return Generation(
            continuations=(continuation,) * num_samples, usage=Usage(generated_tokens=10)
        )


def exploration(generator: GatedGenerator, budget: Budget = UNLIMITED) -> Exploration:
    return Exploration(PROBLEM, generator=generator, scorer=None, budget=budget, seed=0)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_results_come_in_the_order_of_their_beginning() -> None:
    generator = GatedGenerator()
    explored = exploration(generator)
    async with InOrder(explored, max_concurrent=3) as expansions:
        for child in range(3):
            assert expansions.has_room
            expansions.begin(explored.root, num_samples=1, first_child=child)
        assert not expansions.has_room
        await settle()
        for gate in reversed(generator.gates):
            gate.set()
            await settle()
        paths = [leaf.path for _ in range(3) for leaf in await expansions.take()]
        assert paths == [(0,), (1,), (2,)]
        assert len(expansions) == 0


async def test_what_was_not_taken_is_not_yet_spent() -> None:
    generator = GatedGenerator()
    explored = exploration(generator, Budget(max_generated_tokens=10))
    async with InOrder(explored, max_concurrent=3) as expansions:
        for child in range(3):
            expansions.begin(explored.root, num_samples=1, first_child=child)
        await settle()
        generator.gates[1].set()
        generator.gates[2].set()
        await settle()
        assert expansions.may_go_on()
        generator.gates[0].set()
        await expansions.take()
        assert not expansions.may_go_on()


async def test_samples_count_from_their_beginning() -> None:
    explored = exploration(GatedGenerator(), Budget(max_generations=4))
    async with InOrder(explored, max_concurrent=9) as expansions:
        expansions.begin(explored.root, num_samples=3)
        assert expansions.may_go_on()
        expansions.begin(explored.root, num_samples=1, first_child=3)
        assert not expansions.may_go_on()


async def test_an_error_ends_what_is_in_progress() -> None:
    generator = GatedGenerator()
    generator.failing = {0}
    explored = exploration(generator)

    async def take_first() -> None:
        async with InOrder(explored, max_concurrent=3) as expansions:
            for child in range(3):
                expansions.begin(explored.root, num_samples=1, first_child=child)
            await settle()
            generator.gates[0].set()
            await expansions.take()

    with pytest.raises(EngineError, match="call 0 failed"):
        await take_first()
    assert generator.num_cancelled == 2
    assert asyncio.all_tasks() == {asyncio.current_task()}
