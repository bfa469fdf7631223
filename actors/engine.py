"""What every engine has, wherever it runs."""

from __future__ import annotations

from typing import Protocol

from prm_search.errors import EngineError


class Engine(Protocol):
    """A policy, a PRM or a judge that must be started before it is used.

    Constructing one is cheap and loads nothing, so that `functools.partial(Engine, …)` can be
    sent to the process where the engine shall run.
    """

    async def start(self) -> None:
        """Load the model.

        Raises:
            ConfigurationError: if the model cannot be used with these settings.
            EngineError: if the engine could not be started.
        """
        ...

    async def reset_cache(self) -> None:
        """Forget what was computed, so that what follows costs what it costs alone.

        Raises:
            EngineError: if requests are in progress.
        """
        ...

    async def close(self) -> None:
        """Free everything that the engine holds. The engine is not used afterwards."""
        ...


class EngineDeadError(EngineError):
    """The engine is gone, and with it the requests that it was working on.

    Engines raise it when their worker process died; they answer nothing more. A pool replaces
    the engine and redoes the requests.
    """
