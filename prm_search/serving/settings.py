"""The settings of the reward server, and its key."""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from prm_search.errors import ConfigurationError

KEY_VARIABLE = "PRM_SEARCH_API_KEY"
MAX_ITEMS = 16384
"""In any list of a request, whatever the settings."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerSettings:
    """Where the server listens, and what it refuses."""

    host: str = "127.0.0.1"
    """Address to listen at. Others than this machine's own need a key in $PRM_SEARCH_API_KEY."""
    port: int = 8421
    """0 takes a free one and prints it."""
    needs_key: bool = True
    """Whether clients have to know the key: that of $PRM_SEARCH_API_KEY, or else one that is made
    up and printed. Without it, everybody on this machine may ask."""
    max_body_mib: float = 8.0
    """Largest body of a request, in MiB."""
    max_rollouts: int = 256
    """Rollouts in one request; at most batching.max_queue, and at most 16384."""
    max_characters: int = 262144
    """Longest prompt and longest completion."""
    max_seconds: float = 170.0
    """A request that takes longer is answered by 504. Its rewards are obtained and remembered
    all the same, so that asking again is cheap."""
    max_connections: int = 1024
    """Open at the same time; others get 503."""
    grace_seconds: float | None = None
    """How long a server that was told to end waits for the requests in flight; null waits for as
    long as they may take. Ctrl-C again ends it at once."""

    def __post_init__(self) -> None:
        for name in ("max_body_mib", "max_rollouts", "max_characters", "max_seconds",
                     "max_connections"):  # fmt: skip
            if not 0 < getattr(self, name) < float("inf"):
                raise ConfigurationError(
                    f"server.{name} must be above 0 and finite, not {getattr(self, name)}"
                )
        if self.grace_seconds is not None and not 0 < self.grace_seconds < float("inf"):
            raise ConfigurationError(
                f"server.grace_seconds must be above 0 and finite, not {self.grace_seconds}"
            )
        if self.max_rollouts > MAX_ITEMS:
            raise ConfigurationError(
                f"server.max_rollouts must be at most {MAX_ITEMS}, not {self.max_rollouts}"
            )
        if not 0 <= self.port < 2**16:
            raise ConfigurationError(f"server.port must be in [0, 65535], not {self.port}")
        if not self.needs_key and not self.is_local:
            raise ConfigurationError(
                f"server.host={self.host} can be reached by others; they must need a key: set "
                "server.needs_key=true"
            )

    @property
    def longest_grace(self) -> float:
        """Seconds that requests in flight have when the server is told to end."""
        return self.max_seconds + 10 if self.grace_seconds is None else self.grace_seconds

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the server."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


@dataclass(frozen=True, kw_only=True, slots=True)
class Key:
    """What clients have to know."""

    value: str
    is_made_up: bool


def choose_key(settings: ServerSettings, environment: Mapping[str, str]) -> Key | None:
    """The key of the environment, or one that is made up; None if none is needed.

    Raises:
        ConfigurationError: if others can reach the server and the environment has no key.
    """
    if not settings.needs_key:
        return None
    given = environment.get(KEY_VARIABLE, "")
    if given:
        if not given.isascii() or not given.isprintable() or " " in given:
            raise ConfigurationError(f"${KEY_VARIABLE} must be printable ASCII without spaces")
        return Key(value=given, is_made_up=False)
    if not settings.is_local:
        raise ConfigurationError(
            f"server.host={settings.host} can be reached by others; put a key into "
            f"${KEY_VARIABLE}, for example: export {KEY_VARIABLE}=$(openssl rand -hex 24)"
        )
    return Key(value=secrets.token_urlsafe(24), is_made_up=True)
