"""Requests use an engine's weights, or somebody changes them; never both at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager


class WeightGate:
    """Closes while weights are changed, so that nothing is drawn with two sets of them.

    Belongs to one event loop.
    """

    def __init__(self) -> None:
        self.version = 0
        """Of the weights; 0 for those that the engine started with."""
        self._num_users = 0
        self._is_open = asyncio.Event()
        self._is_open.set()
        self._is_unused = asyncio.Event()
        self._is_unused.set()
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def using(self) -> AsyncGenerator[int, None]:
        """While this lasts, the weights stay as they are; gives their version."""
        while not self._is_open.is_set():
            await self._is_open.wait()
        self._num_users += 1
        self._is_unused.clear()
        try:
            yield self.version
        finally:
            self._num_users -= 1
            if not self._num_users:
                self._is_unused.set()

    @asynccontextmanager
    async def changing(self) -> AsyncGenerator[None, None]:
        """While this lasts, nobody uses the weights; begins when those who do are done."""
        async with self._turn:
            self._is_open.clear()
            try:
                await self._is_unused.wait()
                yield
            finally:
                self._is_open.set()
