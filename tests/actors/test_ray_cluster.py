"""Engines in real Ray actors: crashes, errors, queues, and what is left after closing."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from actors.engine import EngineDeadError
from actors.inprocess import InProcessCluster
from actors.placement import Placement
from prm_search.budget import Role
from prm_search.errors import ConfigurationError, ContextLengthError, EngineError
from prm_search.fakes import FakeGenerator, FakeScorer
from prm_search.protocols import Until
from prm_search.types import Generation, Problem, StopReason, Trajectory

pytest.importorskip("ray")

import ray.cloudpickle

from actors.ray_cluster import RayCluster

pytestmark = pytest.mark.ray

# The actors cannot import a test module.
ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])


class Host(FakeGenerator):
    """A fake policy that writes down each call and its process, and fails in many ways."""

    def __init__(self, log: Path, **options: Any) -> None:
        super().__init__(**options)
        self.log = log
        self.child: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        with (self.log / "processes").open("a") as file:
            file.write(f"{os.getpid()}\n")

    async def generate(self, prefix: Trajectory, **options: Any) -> Generation:
        with (self.log / "calls").open("a") as file:
            file.write(f"{prefix.problem.id}\n")
        match prefix.problem.id:
            case "too long":
                raise ContextLengthError(1000, 512)
            case "bug":
                raise KeyError("no such layer")
            case "dead":
                if not (self.log / "died").exists():
                    (self.log / "died").touch()
                    raise EngineDeadError("the worker process of the engine died")
            case "child":
                self.child = subprocess.Popen(["sleep", "60"])  # noqa: ASYNC220
                (self.log / "child").write_text(str(self.child.pid))
            case "forever":
                try:
                    await asyncio.sleep(3600)
                except asyncio.CancelledError:
                    (self.log / "cancelled").touch()
                    raise
        return await super().generate(prefix, **options)


@pytest.fixture(scope="module", autouse=True)
def _ray() -> Any:
    """One Ray for all tests of this file; each test has its own actors."""
    ray.init(
        "local",
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=100 * 2**20,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    yield
    ray.shutdown()


@pytest.fixture
async def launch() -> AsyncIterator[Callable[..., Any]]:
    clusters: list[RayCluster] = []

    async def launch(factory: Any, **placement: Any) -> Any:
        cluster = RayCluster(policy=Placement(**{"num_cpus": 0.5, **placement}))
        clusters.append(cluster)
        return await cluster.launch(factory, Role.POLICY)

    yield launch
    for cluster in clusters:
        await cluster.close()


def prefix_of(problem_id: str) -> Trajectory:
    return Trajectory(problem=Problem(id=problem_id, prompt="How many?"))


def ask(engine: Any, problem_id: str, seed: int = 0) -> Any:
    return engine.generate(
        prefix_of(problem_id), num_samples=2, until=Until.END, seed=seed, temperature=None
    )


def lines(file: Path) -> list[str]:
    return file.read_text().split("\n")[:-1] if file.exists() else []


async def until_true(condition: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.05)


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_answers_are_those_of_the_engine(launch: Any) -> None:
    engine = await launch(FakeGenerator, replicas=2)
    answers = await asyncio.gather(*(ask(engine, f"p{index}", index) for index in range(20)))
    expected = [await ask(FakeGenerator(), f"p{index}", index) for index in range(20)]
    assert list(answers) == expected
    assert expected[0].continuations[0][-1].stop_reason is StopReason.END
    assert engine.counters.num_running == 2


async def test_kill_9_in_the_middle_loses_no_request(launch: Any, tmp_path: Path) -> None:
    engine = await launch(partial(Host, tmp_path, latency=0.5), replicas=2)
    first, second = (int(line) for line in lines(tmp_path / "processes"))
    tasks = [asyncio.create_task(ask(engine, f"p{index}", index)) for index in range(100)]
    await until_true(lambda: len(lines(tmp_path / "calls")) == 100)
    os.kill(first, signal.SIGKILL)
    answers = await asyncio.gather(*tasks)
    assert answers == [await ask(FakeGenerator(), f"p{index}", index) for index in range(100)]
    await until_true(lambda: engine.counters.num_running == 2)
    counters = engine.counters
    assert counters.num_requests == 100
    assert counters.num_restarts == 1
    assert 0 < counters.num_retries <= 50
    assert len(set(lines(tmp_path / "processes")) - {str(first), str(second)}) == 1


async def test_kill_9_of_the_only_replica_is_survived(launch: Any, tmp_path: Path) -> None:
    engine = await launch(partial(Host, tmp_path, latency=0.5))
    tasks = [asyncio.create_task(ask(engine, f"p{index}")) for index in range(10)]
    await until_true(lambda: len(lines(tmp_path / "calls")) == 10)
    os.kill(int(lines(tmp_path / "processes")[0]), signal.SIGKILL)
    assert len(await asyncio.gather(*tasks)) == 10
    assert engine.counters.num_restarts == 1


async def test_an_engine_that_died_in_a_living_actor_is_replaced(
    launch: Any, tmp_path: Path
) -> None:
    engine = await launch(partial(Host, tmp_path))
    assert await ask(engine, "dead") == await ask(FakeGenerator(), "dead")
    assert engine.counters.num_restarts == 1
    assert len(set(lines(tmp_path / "processes"))) == 2


async def test_without_restarts_left_the_error_tells_it(launch: Any, tmp_path: Path) -> None:
    engine = await launch(partial(Host, tmp_path, latency=0.5), max_restarts=0)
    task = asyncio.create_task(ask(engine, "p"))
    await until_true(lambda: len(lines(tmp_path / "calls")) == 1)
    os.kill(int(lines(tmp_path / "processes")[0]), signal.SIGKILL)
    with pytest.raises(EngineError, match=r"no engine is left.*max_restarts"):
        await task
    with pytest.raises(EngineError, match="no engine is left"):
        await ask(engine, "q")


async def test_error_types_survive_the_way_between_processes(launch: Any, tmp_path: Path) -> None:
    engine = await launch(partial(Host, tmp_path))
    with pytest.raises(ContextLengthError) as caught:
        await ask(engine, "too long")
    assert type(caught.value) is ContextLengthError
    assert (caught.value.num_tokens, caught.value.max_tokens) == (1000, 512)
    with pytest.raises(KeyError, match="no such layer") as bug:
        await ask(engine, "bug")
    assert 'raise KeyError("no such layer")' in str(bug.value.__cause__)
    assert engine.counters.num_retries == 0


async def test_an_engine_that_cannot_be_made_fails_the_launch_as_itself(launch: Any) -> None:
    with pytest.raises(ConfigurationError, match="num_steps must be at least 1"):
        await launch(partial(FakeGenerator, num_steps=0))


async def test_the_queue_of_an_actor_is_bounded(launch: Any, tmp_path: Path) -> None:
    engine = await launch(partial(Host, tmp_path, latency=0.3), max_queue=4)
    tasks = [asyncio.create_task(ask(engine, f"p{index}")) for index in range(12)]
    await asyncio.sleep(0)
    assert engine.counters.num_in_flight == 4
    assert engine.counters.num_waiting == 8
    await asyncio.gather(*tasks)


async def test_cancelling_a_caller_cancels_the_request_in_the_engine(
    launch: Any, tmp_path: Path
) -> None:
    engine = await launch(partial(Host, tmp_path))
    task = asyncio.create_task(ask(engine, "forever"))
    await until_true(lambda: len(lines(tmp_path / "calls")) == 1)
    task.cancel()
    await until_true((tmp_path / "cancelled").exists)
    assert engine.counters.num_in_flight == 0


async def test_killed_and_closed_actors_leave_no_process_behind(
    launch: Any, tmp_path: Path
) -> None:
    engine = await launch(partial(Host, tmp_path))
    await ask(engine, "child")
    child = int((tmp_path / "child").read_text())
    actor = int(lines(tmp_path / "processes")[0])
    assert is_running(child)
    os.kill(actor, signal.SIGKILL)
    await until_true(lambda: not is_running(child))
    await ask(engine, "child")
    child, actor = int((tmp_path / "child").read_text()), int(lines(tmp_path / "processes")[-1])
    assert is_running(child)
    assert is_running(actor)
    await engine.close()
    await until_true(lambda: not is_running(child) and not is_running(actor))


async def test_roles_start_side_by_side(tmp_path: Path) -> None:
    class Meeting(FakeScorer):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        async def start(self) -> None:
            (tmp_path / self.name).touch()
            await until_true(lambda: len(list(tmp_path.iterdir())) == 2)

    placement = Placement(num_cpus=0.5)
    async with RayCluster(policy=placement, prm=placement, judge=placement) as cluster:
        await asyncio.gather(
            *(cluster.launch(partial(Meeting, role), role) for role in (Role.POLICY, Role.PRM))
        )


async def test_more_than_the_machine_has_is_refused_at_once() -> None:
    async with RayCluster(policy=Placement(num_cpus=1, replicas=3)) as cluster:
        with pytest.raises(ConfigurationError, match=r"need 3 CPUs.*has 2"):
            await cluster.launch(FakeGenerator, Role.POLICY)


def test_a_cluster_of_our_own_ends_with_its_last_process() -> None:
    script = textwrap.dedent("""
        import asyncio, os, pathlib
        from actors.placement import Placement
        from actors.ray_cluster import RayCluster
        from prm_search.budget import Role
        from prm_search.fakes import FakeScorer

        def children():
            return pathlib.Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()

        async def main():
            async with RayCluster(num_cpus=1, prm=Placement(num_cpus=0.5)) as cluster:
                scorer = await cluster.launch(FakeScorer, Role.PRM)
                print(len((await scorer.score([])).scores), bool(children()))
            print(children())

        asyncio.run(main())
    """)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["0 True", "[]"]
    assert "Error" not in done.stderr


def test_settings_of_a_cluster_of_our_own_are_refused_for_another_one() -> None:
    with pytest.raises(ConfigurationError, match="num_cpus"):
        RayCluster(address="auto", num_cpus=2)


async def test_engines_run_in_this_process_as_well() -> None:
    async with InProcessCluster() as cluster:
        generator, scorer = await asyncio.gather(
            cluster.launch(FakeGenerator, Role.POLICY), cluster.launch(FakeScorer, Role.PRM)
        )
        assert await ask(generator, "p") == await ask(FakeGenerator(), "p")
        assert isinstance(scorer, FakeScorer)
