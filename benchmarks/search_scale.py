"""How many problems one machine's controllers can keep in flight, on engines that only wait.

    python -m benchmarks.search_scale            10,000 problems in flight, 1, 2 and 4 controllers
    python -m benchmarks.search_scale --quick    1,000 problems in flight

Controllers, policy and PRM are Ray actors. The engines are fakes that take a fixed time for a
call. Two questions, each run with new processes:

* Growth: engines with room for all, so that only controllers and Ray limit what happens. Problems
  per second by number of controllers. They can grow as long as there are cores.
* Room: engines with a limited number of slots, 4 controllers. How busy the policy's slots are
  while all problems are in flight, and by how much the controllers' memory grows per problem.

The last line is one JSON object. Where the time goes, without Ray and its processes:

    python -m cProfile -s tottime -m benchmarks.search_scale --profile | head -40
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import tempfile
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import psutil
import ray

from actors.inprocess import InProcessCluster
from actors.placement import Placement
from actors.pooled_engines import PooledController, PooledGenerator, PooledScorer
from actors.ray_cluster import RayCluster
from benchmarks.job import console
from benchmarks.timed_engines import TimedGenerator, TimedScorer, busy_share
from prm_search.budget import Role
from prm_search.concurrency import gather_all
from prm_search.controller import SearchController, run_controlled
from prm_search.controlling import Controller, ControllerEngine
from prm_search.engines import Cluster
from prm_search.grading import GraderSettings
from prm_search.progress import display_for
from prm_search.protocols import Generator, Scorer
from prm_search.search import BeamSearch
from prm_search.store import RunStore
from prm_search.types import Problem

NUM_STEPS = 3
"""Steps of a fake solution; a problem takes as many calls of each engine."""
CALLS_PER_PROBLEM = NUM_STEPS
NUM_EXPANSIONS = 4
NUM_WARM_UP = 4
"""Searches for each controller before those that are measured."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """What is asked of the machine."""

    num_problems: int
    """All of them are in flight at once."""
    num_controllers: int
    num_slots: int
    """Of the policy, and of the PRM."""
    call_seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What the machine made of it."""

    seconds: float
    bytes_before: int
    """Memory of all controllers before the first problem."""
    bytes_at_most: int
    controller_cpu: float
    """Seconds that all controllers computed."""
    engine_cpu: float
    """Seconds that policy and PRM computed."""


def memory_per_problem(measured: Measured, num_problems: int) -> float:
    """KiB by which the controllers grew for each problem in flight."""
    return (measured.bytes_at_most - measured.bytes_before) / num_problems / 1024


def milliseconds_per_call(cpu: float, num_problems: int) -> float:
    """Computing per call of an engine."""
    return 1000 * cpu / (num_problems * 2 * CALLS_PER_PROBLEM)


def growth_figures(measured: Measured, num_problems: int) -> dict[str, float]:
    """How fast the controllers were, and what a call made them and the engines compute."""
    rate = num_problems / measured.seconds
    return {
        "problems_per_second": rate,
        "calls_per_second": rate * 2 * CALLS_PER_PROBLEM,
        "controller_ms_per_call": milliseconds_per_call(measured.controller_cpu, num_problems),
        "engine_ms_per_call": milliseconds_per_call(measured.engine_cpu, num_problems),
    }


def problems(num_problems: int) -> list[Problem]:
    """Different problems with the same answer."""
    prompt = "A shop sells pens at 3 coins and books at 7. " * 4
    return [
        Problem(id=f"p{number}", prompt=f"{prompt}How much are {number} of each?", answer="12")
        for number in range(num_problems)
    ]


async def searched(cluster: Cluster, load: Load, folder: Path) -> Measured:
    """Search all problems at once on a cluster with nothing on it."""
    generator = await cluster.launch(
        partial(
            TimedGenerator,
            num_slots=load.num_slots,
            call_seconds=load.call_seconds,
            num_steps=NUM_STEPS,
        ),
        Role.POLICY,
    )
    scorer = await cluster.launch(
        partial(TimedScorer, num_slots=load.num_slots, call_seconds=load.call_seconds), Role.PRM
    )
    make = partial(
        SearchController,
        methods={"beam": BeamSearch(num_beams=NUM_EXPANSIONS, num_expansions=NUM_EXPANSIONS)},
        generator=cast("Generator", generator),
        scorer=cast("Scorer", scorer),
    )
    engine = partial(ControllerEngine, make, grader=GraderSettings())
    controller = await cluster.launch(engine, Role.CONTROLLER)
    processes = await _processes(controller)
    engines = [*await _processes(generator), *await _processes(scorer)]
    # Graders start, and modules are imported.
    await gather_all(
        cast("Controller", controller).record(replace(problem, id=f"warm-up {problem.id}"), "beam")
        for problem in problems(NUM_WARM_UP * load.num_controllers)
    )
    with RunStore(folder) as store:
        before = _memory(processes)
        watch = asyncio.create_task(_peak(processes))
        controller_cpu, engine_cpu = _cpu(processes), _cpu(engines)
        started = time.perf_counter()
        totals = await run_controlled(
            problems(load.num_problems),
            cast("Controller", controller),
            name="beam",
            store=store,
            seed=0,
            max_in_flight=load.num_problems,
            max_retries=0,
            progress=display_for(console),
        )
        seconds = time.perf_counter() - started
        controller_cpu, engine_cpu = _cpu(processes) - controller_cpu, _cpu(engines) - engine_cpu
        watch.cancel()
        (peak,) = await asyncio.gather(watch)
    if totals.num_failed:
        raise RuntimeError(f"{totals.num_failed} searches failed")
    return Measured(
        seconds=seconds,
        bytes_before=before,
        bytes_at_most=max(peak, before),
        controller_cpu=controller_cpu,
        engine_cpu=engine_cpu,
    )


async def measured_on_ray(load: Load) -> Measured:
    """Search with controllers and engines in processes of their own."""
    wide = partial(Placement, num_cpus=0.0, max_queue=2 * load.num_problems)
    cluster = RayCluster(policy=wide(), prm=wide(), controller=wide(replicas=load.num_controllers))
    with tempfile.TemporaryDirectory() as folder:
        try:
            return await searched(cluster, load, Path(folder))
        finally:
            await cluster.close()


async def measured_here(load: Load) -> Measured:
    """Search with everything in this process, to be looked at by a profiler."""
    cluster = InProcessCluster()
    with tempfile.TemporaryDirectory() as folder:
        try:
            return await searched(cluster, load, Path(folder))
        finally:
            await cluster.close()


async def measure(sizes: list[int], controllers: list[int], slots: int) -> dict[str, float]:
    """All runs, one after another."""
    most = max(sizes)
    result: dict[str, float] = {"num_cores": len(os.sched_getaffinity(0))}
    for num_controllers in controllers:
        load = Load(
            num_problems=most, num_controllers=num_controllers, num_slots=most, call_seconds=0.1
        )
        found = growth_figures(await measured_on_ray(load), most)
        result |= {f"controllers_{num_controllers}.{key}": value for key, value in found.items()}
        console.print(
            f"{num_controllers} controllers: {found['problems_per_second']:.1f} problems a second"
        )
    for size in sizes:
        load = Load(
            num_problems=size, num_controllers=max(controllers), num_slots=slots, call_seconds=0.5
        )
        measured = await measured_on_ray(load)
        result[f"in_flight_{size}.kib_per_problem"] = memory_per_problem(measured, size)
        result[f"in_flight_{size}.busy_share"] = busy_share(
            size * CALLS_PER_PROBLEM,
            call_seconds=load.call_seconds,
            num_slots=slots,
            seconds=measured.seconds,
        )
        result[f"in_flight_{size}.problems_per_second"] = size / measured.seconds
        console.print(
            f"{size} in flight: {result[f'in_flight_{size}.kib_per_problem']:.1f} KiB a problem, "
            f"policy {result[f'in_flight_{size}.busy_share']:.1%} busy"
        )
    return {key: round(value, 3) for key, value in result.items()}


async def _processes(engine: object) -> list[psutil.Process]:
    """Those that an engine runs in."""
    if not isinstance(engine, PooledController | PooledGenerator | PooledScorer):
        return [psutil.Process()]
    replicas = cast("Any", engine)._pool.replicas
    return [psutil.Process(await replica.process_id()) for replica in replicas]


def _cpu(processes: list[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def _memory(processes: list[psutil.Process]) -> int:
    return sum(process.memory_full_info().uss for process in processes)


async def _peak(processes: list[psutil.Process]) -> int:
    peak = 0
    while True:
        peak = max(peak, _memory(processes))
        try:
            await asyncio.sleep(0.5)
        except asyncio.CancelledError:
            return peak


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the problems")
    parser.add_argument("--in-flight", type=int, default=10_000, help="problems at once")
    parser.add_argument("--controllers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--slots", type=int, default=128, help="of an engine that has few")
    parser.add_argument("--profile", action="store_true", help="one run in this process")
    arguments = parser.parse_args()
    most = arguments.in_flight // (10 if arguments.quick else 1)
    if arguments.profile:
        load = Load(num_problems=most, num_controllers=1, num_slots=most, call_seconds=0.1)
        console.print(f"{most / asyncio.run(measured_here(load)).seconds:.1f} problems a second")
        return
    ray.init("local", include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    sizes = sorted({most // 4, most // 2, most})
    result = asyncio.run(measure(sizes, arguments.controllers, arguments.slots))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
