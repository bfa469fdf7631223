"""vLLM behind Ray: the actor and vLLM's own processes are killed in the middle of the work."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from actors.vllm_options import VllmOptions
from prm_search.budget import Role
from prm_search.errors import ContextLengthError
from prm_search.policy import Policy
from prm_search.protocols import Until
from prm_search.types import Problem, Trajectory

ray_cluster = pytest.importorskip("actors.ray_cluster")
vllm_generator = pytest.importorskip("actors.vllm_generator")

pytestmark = [pytest.mark.ray, pytest.mark.vllm, pytest.mark.slow]


def prefix_of(index: int, prompt: str = "How many shells has Ben?") -> Trajectory:
    return Trajectory(problem=Problem(id=f"p{index}", prompt=prompt))


def descendants(process: int) -> list[int]:
    children = [
        int(child)
        for task in Path(f"/proc/{process}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]
    return [*children, *(item for child in children for item in descendants(child))]


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def until_true(condition: Any, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.1)


async def test_requests_survive_the_death_of_the_actor_and_of_the_engine(tiny_model: Path) -> None:
    factory = partial(
        vllm_generator.VllmGenerator,
        policy=Policy(model=str(tiny_model), max_tokens=300, max_step_tokens=300),
        options=VllmOptions(kv_cache_gib=0.25),
    )

    async def answer(engine: Any, index: int) -> Any:
        return await engine.generate(
            prefix_of(index), num_samples=2, until=Until.END, seed=index, temperature=None
        )

    async with ray_cluster.RayCluster(num_cpus=1) as cluster:
        engine: Any = await cluster.launch(factory, Role.POLICY)
        (replica,) = engine._pool.replicas
        for kills_the_actor in (True, False):
            actor = await replica.process_id()
            processes = descendants(actor)
            assert processes
            tasks = [asyncio.create_task(answer(engine, index)) for index in range(30)]
            await asyncio.sleep(0.2)
            assert not all(task.done() for task in tasks)
            for victim in [actor] if kills_the_actor else processes:
                os.kill(victim, signal.SIGKILL)
            answers = await asyncio.gather(*tasks)
            assert [len(item.continuations) for item in answers] == [2] * 30
            await until_true(lambda gone=(actor, *processes): not any(map(is_running, gone)))
        assert engine.counters.num_restarts == 2
        with pytest.raises(ContextLengthError):
            await engine.generate(
                prefix_of(0, "shells " * 2000),
                num_samples=1,
                until=Until.STEP,
                seed=0,
            )
        processes = descendants(await replica.process_id())
    await until_true(lambda: not any(map(is_running, processes)))
