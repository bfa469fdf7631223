"""A reward server in a thread of this process."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from prm_search.plugins.reading import Reading
from prm_search.serving.app import make_app
from prm_search.serving.service import RewardService
from prm_search.serving.settings import ServerSettings


@contextmanager
def serving(
    service: RewardService,
    key: str | None = None,
    *,
    settings: ServerSettings | None = None,
    reading: Reading | None = None,
) -> Iterator[str]:
    """The URL of a server."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        app = make_app(service, key=key, settings=settings, reading=reading)
        config = uvicorn.Config(app, lifespan="off", log_level="error")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
