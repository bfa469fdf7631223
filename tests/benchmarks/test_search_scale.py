"""The arithmetic behind the figures of scale, and the engines that only wait."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from actors.inprocess import InProcessCluster
from benchmarks.search_scale import Load, Measured, growth_figures, memory_per_problem, searched
from benchmarks.timed_engines import TimedScorer, busy_share
from prm_search.types import Problem, Step, Trajectory


def test_an_engine_is_busy_as_far_as_its_calls_fill_its_slots() -> None:
    assert busy_share(80, call_seconds=0.5, num_slots=4, seconds=10.0) == 1.0
    assert busy_share(40, call_seconds=0.5, num_slots=4, seconds=10.0) == 0.5


MEASURED = Measured(
    seconds=2.0,
    bytes_before=2**20,
    bytes_at_most=3 * 2**20,
    controller_cpu=0.6,
    engine_cpu=1.2,
)


def test_memory_is_what_the_controllers_grew_by() -> None:
    assert memory_per_problem(MEASURED, 1024) == 2.0


def test_a_problem_takes_as_many_calls_of_each_engine_as_it_has_steps() -> None:
    assert growth_figures(MEASURED, 100) == pytest.approx(
        {
            "problems_per_second": 50.0,
            "calls_per_second": 300.0,
            "controller_ms_per_call": 1.0,
            "engine_ms_per_call": 2.0,
        }
    )


async def test_calls_wait_for_a_slot() -> None:
    scorer = TimedScorer(num_slots=2, call_seconds=0.05)
    trajectory = Trajectory(problem=Problem(id="p", prompt="?"), steps=(Step(text="1"),))
    began = time.perf_counter()
    await asyncio.gather(*(scorer.score([trajectory]) for _ in range(6)))
    assert time.perf_counter() - began >= 3 * 0.05


@pytest.mark.parametrize("num_slots", [4, 40])
async def test_all_problems_are_searched(num_slots: int, tmp_path: Path) -> None:
    load = Load(num_problems=20, num_controllers=1, num_slots=num_slots, call_seconds=0.01)
    cluster = InProcessCluster()
    try:
        measured = await searched(cluster, load, tmp_path)
    finally:
        await cluster.close()
    assert measured.seconds >= 20 * 3 * 0.01 / num_slots
    assert (tmp_path / "records.jsonl").read_bytes().count(b"\n") == 20
