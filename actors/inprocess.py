"""Engines in this process: for notebooks, tests and machines without Ray."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import TypeVar

from actors.engine import Engine
from prm_search.budget import Role

EngineT = TypeVar("EngineT", bound=Engine)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, eq=False)
class InProcessCluster:
    """Starts one engine for each role in this process.

    Example:
        >>> async with InProcessCluster() as cluster:
        ...     generator = await cluster.launch(FakeGenerator, Role.POLICY)
    """

    _engines: list[Engine] = field(default_factory=list[Engine], init=False, repr=False)

    async def launch(self, factory: Callable[[], EngineT], role: Role) -> EngineT:
        """Start an engine; several may be launched at the same time.

        Raises:
            EngineError: if the engine could not be started.
        """
        engine = factory()
        _log.info("starting the %s engine in this process", role)
        await engine.start()
        self._engines.append(engine)
        return engine

    async def close(self) -> None:
        """Close all engines."""
        while self._engines:
            await self._engines.pop().close()

    async def __aenter__(self) -> InProcessCluster:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()
