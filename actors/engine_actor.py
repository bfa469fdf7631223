"""A Ray actor with one engine in it, and the replica that stands for it in a pool.

When the actor's process dies, Ray starts it again and the engine is made anew. When the engine
died but not the actor (vLLM computes in a child process), the actor ends itself, so that there
is one way back for both.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import pickle
from collections.abc import Callable
from typing import Any

import ray
from ray import cloudpickle
from ray.exceptions import ActorDiedError, ActorUnavailableError, RayActorError, RayTaskError

from actors.engine import Engine, EngineDeadError
from actors.exchange import Courier, Desk, Load, Return
from actors.placement import Placement
from prm_search.errors import EngineError

_log = logging.getLogger(__name__)

_NUM_CONTROL_CALLS = 8
"""Calls beside the requests that an actor must be able to take: start and close."""
_CLOSE_SECONDS = 10.0
"""How long an engine may take to end by itself."""


class EngineActor:
    """Hosts an engine and forwards calls to it."""

    def __init__(self, factory: bytes) -> None:
        """Takes a pickled `Callable[[], Engine]`."""
        self._factory: Callable[[], Engine] = cloudpickle.loads(factory)
        self._engine: Engine | None = None
        self._death: EngineDeadError | None = None
        self._starting = asyncio.Lock()
        self._desk = Desk(self._call)

    async def start(self) -> None:
        """Make the engine and start it, unless that was done.

        Raises:
            EngineDeadError: if the engine died in the meantime.
        """
        async with self._starting:
            if self._death is not None:
                raise self._death
            if self._engine is None:
                engine = self._factory()
                await engine.start()
                self._engine = engine
                gc.collect()
                gc.freeze()  # what is there now stays, and need not be looked through again

    async def exchange(self, load: bytes) -> bytes:
        """Take calls of the engine, and give answers; see `actors.exchange.Desk`.

        Both are pickled here rather than by Ray, which looks at every object in Python.
        """
        return pickle.dumps(await self._desk.exchange(pickle.loads(load)))

    async def _call(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Call a method of the engine, and start it first if need be."""
        if self._engine is None or self._death is not None:
            await self.start()
        try:
            return await getattr(self._engine, method)(*arguments, **options)
        except EngineDeadError as error:
            self._death = error
            raise

    async def process_id(self) -> int:
        """The process that the actor runs in."""
        return os.getpid()

    async def close(self) -> None:
        """Close the engine."""
        if self._engine is not None:
            await self._engine.close()

    async def exit(self) -> None:
        """End the process of a dead engine as if it had crashed, so that Ray starts it again."""
        if self._death is not None:  # else another pool has seen to it
            os._exit(1)


class RayReplica:
    """An engine in a Ray actor."""

    def __init__(
        self, factory: Callable[[], Engine], placement: Placement, *, name: str = ""
    ) -> None:
        """Ask Ray for an actor; it is scheduled, and the engine started, by `start`.

        Args:
            factory: makes the engine; must be picklable.
            placement: what the actor takes.
            name: of the role; begins the name of the actor's class, which Ray and `ps` show.
        """
        # Ray shows the class and nothing else.
        actor_class = type(f"{name.capitalize()}{EngineActor.__name__}", (EngineActor,), {})
        self._actor: Any = (  # Ray's types do not know the methods of an actor
            ray.remote(actor_class)
            .options(
                num_cpus=placement.num_cpus,
                num_gpus=placement.gpus_per_replica,
                max_restarts=placement.max_restarts,
                max_task_retries=0,  # the pool redoes requests, on other replicas too
                max_concurrency=placement.max_queue + _NUM_CONTROL_CALLS,
            )
            # As bytes, because arguments that hold handles of other actors are kept in the object
            # store, and an actor cannot be started again once they are lost there.
            .remote(cloudpickle.dumps(factory))  # pyright: ignore[reportPrivateImportUsage]
        )
        self._courier = Courier(self._exchange)

    def __getstate__(self) -> object:
        return self._actor

    def __setstate__(self, actor: object) -> None:
        self._actor = actor
        self._courier = Courier(self._exchange)

    async def start(self) -> None:
        """Wait until the engine runs; see `actors.pool.Replica`."""
        while True:
            try:
                return await _answer(self._actor.start.remote())
            except _RestartingError:
                await asyncio.sleep(0.1)
            except EngineDeadError as error:
                if isinstance(error.__cause__, ActorDiedError):
                    raise
                _log.info("the engine is dead, its actor is started again: %s", error)
                await self._end_process()

    async def call(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Call a method of the engine; see `actors.pool.Replica`."""
        return await self._courier.call(method, *arguments, **options)

    async def process_id(self) -> int:
        """The process that the actor runs in now."""
        return await _answer(self._actor.process_id.remote())

    async def close(self) -> None:
        """Close the engine and end the actor."""
        try:
            await asyncio.wait_for(_answer(self._actor.close.remote()), _CLOSE_SECONDS)
        except (EngineError, TimeoutError) as error:
            _log.info("the engine did not close by itself: %s", error)
        finally:
            ray.kill(self._actor)

    async def _exchange(self, load: Load) -> Return:
        if not ray.is_initialized():  # else Ray would start a new cluster
            raise EngineDeadError("Ray has been shut down")
        return pickle.loads(await _answer(self._actor.exchange.remote(pickle.dumps(load))))

    async def _end_process(self) -> None:
        try:
            await _answer(self._actor.exit.remote())
        except EngineDeadError:
            return


class _RestartingError(EngineDeadError):
    """The actor's process died and Ray is starting it again, or cannot reach it for now."""


async def _answer(reference: Any) -> Any:
    """What a call of an actor gives, with the errors that the engine raised, unwrapped.

    Raises:
        EngineDeadError: if the actor's process is gone.
    """
    try:
        return await reference
    except asyncio.CancelledError:
        if ray.is_initialized():  # else the actor is gone
            ray.cancel(reference)  # it need not finish what nobody waits for
        raise
    except ActorUnavailableError as error:
        raise _RestartingError(_first_line(error)) from error
    except RayActorError as error:
        raise EngineDeadError(
            f"its process ended and is not started again (max_restarts): {_first_line(error)}"
        ) from error
    except RayTaskError as error:
        cause = error.cause
        if isinstance(cause, Exception) and not isinstance(cause, RayTaskError):
            raise cause from error
        raise EngineError(str(error)) from None


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
