"""Stands before the app: nothing of a request is read or parsed before its key is checked.

Plain ASGI, so that a body that is too large is refused while it comes in.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import json
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

_OPEN = frozenset({"/health"})
"""What probes of a cluster manager ask for, which know no key. No body of theirs is read."""
_NOTHING_SENT = 499
"""Status of a request whose client went away."""
_BODY_SECONDS = 60.0
"""How long a client may take to send a body."""
_THROWN_AWAY = 4
"""How many times the largest body is taken before it is refused."""


class Observer(Protocol):
    """Hears of every request that was answered."""

    def answered(self, path: str, status: int, seconds: float) -> None:
        """A request was answered."""
        ...


class _RefusedError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Guard:
    """Refuses requests without the key and bodies that are too large or too slow."""

    def __init__(
        self, app: App, *, key: str | None, max_body_bytes: int, observer: Observer
    ) -> None:
        """Stand before an app.

        Args:
            app: what is guarded.
            key: what clients have to know; None if nothing.
            max_body_bytes: of a request.
            observer: hears of answers, refusals included.
        """
        self._app = app
        self._key = key
        self._max_body_bytes = max_body_bytes
        self._observer = observer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a connection, as ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = time.monotonic(), _NOTHING_SENT

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            headers = dict(scope["headers"])
            is_open = scope["path"] in _OPEN
            if not is_open and not self._is_known(headers.get(b"authorization")):
                raise _RefusedError(401, "the API key is missing or wrong")
            body = b"" if is_open else await self._read(headers, receive)
            if body is not None:
                await self._app(scope, _replay(body, receive), watch)
        except _RefusedError as refusal:
            await _refuse(refusal, watch)
        except asyncio.CancelledError:  # the server ends, and its grace is over
            if status != _NOTHING_SENT:
                raise
            await _refuse(_RefusedError(503, "the server ends; ask again later"), watch)
        finally:
            self._observer.answered(scope["path"], status, time.monotonic() - start)

    def _is_known(self, header: bytes | None) -> bool:
        """Whether the client sent the key: as a bearer, or as a password within its URL."""
        if self._key is None:
            return True
        kind, _, given = (header or b"").partition(b" ")
        if kind.lower() == b"basic":
            try:
                given = base64.b64decode(given, validate=True).partition(b":")[2]
            except (binascii.Error, ValueError):
                return False
        elif kind.lower() != b"bearer":
            return False
        return hmac.compare_digest(given.strip(), self._key.encode())

    async def _read(self, headers: MutableMapping[bytes, bytes], receive: Receive) -> bytes | None:
        """The whole body; None if the client went away."""
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length[:20]) > self._max_body_bytes:
            await self._throw_away(receive)
            raise self._too_large()
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    part: bytes = message.get("body", b"")
                    parts.append(part)
                    size += len(part)
                    if size > self._max_body_bytes:
                        raise self._too_large()
                    if not message.get("more_body", False):
                        return b"".join(parts)
        except TimeoutError as error:
            raise _RefusedError(408, f"the body took more than {_BODY_SECONDS:g} s") from error

    async def _throw_away(self, receive: Receive) -> None:
        """Take some of a body that is too large: a client that is still sending hears no answer."""
        size = 0
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                while size < _THROWN_AWAY * self._max_body_bytes:
                    message = await receive()
                    size += len(message.get("body", b""))
                    if message["type"] == "http.disconnect" or not message.get("more_body", False):
                        return
        except TimeoutError:
            return

    def _too_large(self) -> _RefusedError:
        return _RefusedError(
            413, f"the body has more than {self._max_body_bytes} bytes; send fewer rollouts at once"
        )


def _replay(body: bytes, receive: Receive) -> Receive:
    is_read = False

    async def replay() -> Message:
        nonlocal is_read
        if is_read:
            return await receive()
        is_read = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


async def _refuse(refusal: _RefusedError, send: Send) -> None:
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    if refusal.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if refusal.status == 503:
        headers.append((b"retry-after", b"1"))
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    body = json.dumps({"detail": str(refusal)}).encode()
    await send({"type": "http.response.body", "body": body})
