"""Replicas in this process."""

from __future__ import annotations

import asyncio
from typing import Any

from actors.engine import EngineDeadError
from actors.pool import Pool
from prm_search.errors import ContextLengthError, EngineError


class FakeReplica:
    """Holds calls until they are released, and can be told to crash."""

    def __init__(self, *, num_lives: int = 100, is_open: bool = True) -> None:
        self.num_lives = num_lives
        self.calls: list[str] = []
        self.num_answers = 0
        self.num_starts = 0
        self.is_closed = False
        self.gate = asyncio.Event()
        self.start_gate = asyncio.Event()
        self.start_gate.set()
        self.crash: asyncio.Future[None] | None = None
        if is_open:
            self.gate.set()

    async def start(self) -> None:
        await self.start_gate.wait()
        if self.num_starts >= self.num_lives:
            raise EngineError("no life left")
        self.num_starts += 1
        self.crash = asyncio.get_running_loop().create_future()

    async def call(self, method: str, *arguments: Any, **options: Any) -> Any:
        assert self.crash is not None
        self.calls.append(method)
        waiting = asyncio.ensure_future(self.gate.wait())
        try:
            await asyncio.wait([waiting, self.crash], return_when=asyncio.FIRST_COMPLETED)
            if self.crash.done():
                raise EngineDeadError("killed")
        finally:
            waiting.cancel()
        if method == "too_long":
            raise ContextLengthError(9, 8)
        self.num_answers += 1
        return (method, *arguments)

    def kill(self) -> None:
        assert self.crash is not None
        if not self.crash.done():
            self.crash.set_result(None)

    async def close(self) -> None:
        self.is_closed = True


async def pool_of(
    *replicas: Any, max_queue: int = 100, max_imbalance: int = 2, max_retries: int = 3
) -> Pool:
    pool = Pool(replicas, max_queue=max_queue, max_imbalance=max_imbalance, max_retries=max_retries)
    await pool.start()
    return pool


async def settle() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


class LocalReplica:
    """An engine in this process as a replica."""

    def __init__(self, engine: Any) -> None:
        self.engine = engine

    async def start(self) -> None:
        await self.engine.start()

    async def call(self, method: str, *arguments: Any, **options: Any) -> Any:
        return await getattr(self.engine, method)(*arguments, **options)

    async def close(self) -> None:
        await self.engine.close()
