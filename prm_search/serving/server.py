"""Runs a reward server until it is told to end."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import cast

import uvicorn
from rich.console import Console

from prm_search.errors import ConfigurationError
from prm_search.grading import MathGrader
from prm_search.progress import display_for
from prm_search.rewards.credit import GroupCredit
from prm_search.run_session import OK, running_engines
from prm_search.serving.app import make_app
from prm_search.serving.guard import App
from prm_search.serving.job import ServeJob
from prm_search.serving.service import RewardService
from prm_search.serving.settings import KEY_VARIABLE, Key, ServerSettings, choose_key


async def run_server(job: ServeJob, *, console: Console) -> int:
    """Start the engines and answer requests until Ctrl-C or SIGTERM.

    Returns:
        0; requests in flight have been answered, unless it says otherwise.

    Raises:
        PrmSearchError: if it cannot be started: no key, no port, no engine, a credit that needs
            what the reward does not give.
    """
    display = display_for(console)
    key = choose_key(job.server, os.environ)
    with _bound(job.server) as listener:
        async with running_engines(job.cluster, job.engine, display) as engines:
            grader = MathGrader(job.grader)
            service = RewardService(
                job.reward.source(engines, grader),
                credit=cast("GroupCredit", job.credit),
                batching=job.batching,
                engines=engines,
            )
            all_answered = False
            try:
                for failure in await service.probe():
                    display.say(f"A first try failed, {failure.kind}: {failure.message}")
                app = make_app(
                    service,
                    reading=job.reading,
                    settings=job.server,
                    key=key.value if key else None,
                )
                all_answered = await serve(
                    app,
                    listener,
                    settings=job.server,
                    on_start=lambda: _introduce(listener, key, display.say),
                )
            finally:
                await _close(service, seconds=job.server.longest_grace if all_answered else 1.0)
                await asyncio.to_thread(grader.close)
    display.say(
        "Stopped; every request that had been accepted is answered."
        if all_answered
        else "Stopped; requests in flight were given up."
    )
    return OK


async def _close(service: RewardService, *, seconds: float) -> None:
    """Finish what is in the queue, unless it takes too long: nobody waits for it any more."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await service.close()


async def serve(
    app: App, listener: socket.socket, *, settings: ServerSettings, on_start: Callable[[], None]
) -> bool:
    """Answer requests until SIGINT or SIGTERM; then finish those in flight.

    A second Ctrl-C ends at once.

    Args:
        app: what answers.
        listener: bound to its address.
        settings: limits.
        on_start: called once requests are taken.

    Returns:
        Whether every request was answered: False if they took longer than the grace, or a second
        Ctrl-C came.
    """
    server = _Server(
        uvicorn.Config(
            app,
            lifespan="off",
            log_level="warning",
            access_log=False,
            server_header=False,
            limit_concurrency=settings.max_connections,
            # Clients keep connections for the next update; one that is closed under a request
            # would look like a lost one.
            timeout_keep_alive=120,
            timeout_graceful_shutdown=math.ceil(settings.longest_grace),
        )
    )
    server.on_start = on_start
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)
    for number in signals:
        loop.add_signal_handler(number, server.handle_exit, number, None)
    try:
        await server.serve(sockets=[listener])
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
    # Those that uvicorn has cancelled have not ended yet.
    return not server.force_exit and not server.server_state.tasks


class _Server(uvicorn.Server):
    on_start: Callable[[], None]

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leaves them alone: uvicorn would raise them again, before the engines are closed."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.on_start()


@contextmanager
def _bound(settings: ServerSettings) -> Generator[socket.socket, None, None]:
    """A socket with the address, which does not listen yet: who comes too early is refused."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((settings.host, settings.port))
        except OSError as error:
            raise ConfigurationError(
                f"cannot listen at {settings.host}:{settings.port}: {error.strerror or error}; "
                "choose another server.port or server.host"
            ) from error
        yield listener


def _introduce(listener: socket.socket, key: Key | None, say: Callable[[str], None]) -> None:
    host, port = listener.getsockname()[:2]
    host = f"[{host}]" if ":" in host else host
    say(f"Rewards at http://{host}:{port} (POST /v1/rewards, /get_reward, /slime; GET /health)")
    if key is None:
        say("No key is needed.")
    elif key.is_made_up:
        say(f"Key: {key.value}   (set ${KEY_VARIABLE} for one of your own)")
    else:
        say(f"Key: that of ${KEY_VARIABLE}")
