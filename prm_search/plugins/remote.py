"""A reward server as a rewarder, by the standard library alone.

It runs inside the processes of training frameworks, which pin what is installed there.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from http.client import HTTPException
from typing import Any, cast

from prm_search.concurrency import gather_all
from prm_search.errors import ConfigurationError, EngineError
from prm_search.rewards import Reward
from prm_search.rewards.rewarder import Scored
from prm_search.types import Failure, StepScores, StopReason, Trajectory

URL_VARIABLE = "PRM_SEARCH_REWARD_URL"
KEY_VARIABLE = "PRM_SEARCH_API_KEY"
_MAX_ROLLOUTS = 64
"""In one request. The server batches across requests, so more gain nothing."""
_MAX_BYTES = 4 * 2**20
"""In one request of several rollouts; half of what the server takes by default."""
_LATER = frozenset({429, 502, 503, 504})
"""Overloaded, or behind a proxy that does not reach it, or without an engine, or too slow."""
_TOO_LARGE = 413
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 8.0
"""Seconds between two attempts; each pause is twice as long as the one before."""
_log = logging.getLogger(__name__)


class RemoteRewarder:
    """Asks `prm-search serve-reward`. Its credit is the server's; it can be pickled.

    A server that is overloaded, starting, killed while it answers, or away is asked again: an
    answer counts as a whole or not at all. What the server could not reward is a failure within
    the reward.
    """

    def __init__(self, url: str, *, key: str | None = None, max_seconds: float = 600.0) -> None:
        """Take a server.

        Args:
            url: such as http://127.0.0.1:8421.
            key: of the server; None if it needs none.
            max_seconds: how long a rollout is asked for again and again.

        Raises:
            ConfigurationError: if the URL is none.
        """
        if not url.startswith(("http://", "https://")):
            raise ConfigurationError(f"the URL of the reward server is {url!r}, without http://")
        self._url = url.rstrip("/") + "/v1/rewards"
        self._key = key
        self._max_seconds = max_seconds
        self._is_away = False

    @classmethod
    def from_environment(cls) -> RemoteRewarder:
        """The server at $PRM_SEARCH_REWARD_URL, with the key of $PRM_SEARCH_API_KEY.

        Raises:
            ConfigurationError: if the environment names none.
        """
        url = os.environ.get(URL_VARIABLE)
        if not url:
            raise ConfigurationError(
                f"${URL_VARIABLE} is not set; start `prm-search serve-reward` and put its URL there"
            )
        return cls(url, key=os.environ.get(KEY_VARIABLE) or None)

    async def __call__(self, rollouts: Sequence[Trajectory]) -> list[Scored]:
        """The rewards of some rollouts; see `prm_search.rewards.rewarder.Rewarder`.

        Raises:
            EngineError: if the server does not answer, or not in time.
            ConfigurationError: if the server refuses the key.
        """
        parts = [
            rollouts[start : start + _MAX_ROLLOUTS]
            for start in range(0, len(rollouts), _MAX_ROLLOUTS)
        ]
        return [one for part in await gather_all(map(self._ask, parts)) for one in part]

    async def _ask(self, rollouts: Sequence[Trajectory]) -> list[Scored]:
        body = _body(rollouts)
        if len(body) > _MAX_BYTES and len(rollouts) > 1:
            return await self._ask_halves(rollouts)
        try:
            text = await self._answer(body)
        except _TooLargeError as error:
            if len(rollouts) == 1:
                raise EngineError(str(error)) from error
            return await self._ask_halves(rollouts)
        items = _items(text, self._url)
        if len(items) != len(rollouts):
            raise EngineError(f"{self._url}: {len(items)} rewards for {len(rollouts)} rollouts")
        return [_from_json(item) for item in items]

    async def _ask_halves(self, rollouts: Sequence[Trajectory]) -> list[Scored]:
        half = len(rollouts) // 2
        parts = await gather_all(map(self._ask, (rollouts[:half], rollouts[half:])))
        return [one for part in parts for one in part]

    async def _answer(self, body: bytes) -> bytes:
        """What the server answers in the end, however often it has to be asked."""
        loop = asyncio.get_running_loop()
        end = time.monotonic() + self._max_seconds
        pause = _FIRST_PAUSE
        while True:
            seconds = max(1.0, end - time.monotonic())
            try:
                text = await loop.run_in_executor(_threads(), self._post, body, seconds)
            except _LaterError as error:
                if time.monotonic() + pause > end:
                    raise EngineError(
                        f"the reward server at {self._url} gave no rewards within "
                        f"{self._max_seconds:g} s, in the end because of: {error}"
                    ) from error
                self._note_absence(error)
            else:
                self._is_away = False
                return text
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _note_absence(self, error: _LaterError) -> None:
        # Once, not for each of the requests that wait. One that is overloaded is not away.
        if isinstance(error, _AwayError) and not self._is_away:
            self._is_away = True
            _log.warning(
                "the reward server at %s is away (%s); it is asked again for up to %g s",
                *(self._url, error, self._max_seconds),
            )

    def _post(self, body: bytes, seconds: float) -> bytes:
        headers = {"Content-Type": "application/json"}
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key}"
        request = urllib.request.Request(self._url, data=body, headers=headers)
        try:
            with _opener().open(request, timeout=seconds) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            raise self._refusal(error) from error
        # Not there yet, or gone: before it took the request, or in the middle of its answer.
        except (OSError, HTTPException) as error:
            raise _AwayError(str(error) or type(error).__name__) from error

    def _refusal(self, error: urllib.error.HTTPError) -> Exception:
        try:
            text = error.read(1000).decode(errors="replace")
        except (OSError, HTTPException):  # killed in the middle of it; the status is known
            text = error.reason
        if error.code in _LATER:
            return _LaterError(f"{error.code}: {text}")
        if error.code == 401:
            return ConfigurationError(
                f"{self._url} refuses the key; put the server's into ${KEY_VARIABLE}"
            )
        message = f"{self._url} answered {error.code}: {text}"
        return _TooLargeError(message) if error.code == _TOO_LARGE else EngineError(message)


class _LaterError(Exception):
    """Asking again may help."""


class _TooLargeError(Exception):
    """Fewer rollouts at once may be taken."""


class _AwayError(_LaterError):
    """Nobody answers."""


@cache
def _threads() -> ThreadPoolExecutor:
    """Frameworks ask for one rollout at a time, many side by side."""
    return ThreadPoolExecutor(64, thread_name_prefix="rewards")


@cache
def _opener() -> urllib.request.OpenerDirector:
    """Without proxies: the server is on this machine or in the same cluster."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _items(text: bytes, url: str) -> list[dict[str, Any]]:
    try:
        return cast("list[dict[str, Any]]", json.loads(text)["rollouts"])
    except (ValueError, KeyError, TypeError) as error:
        raise EngineError(f"{url} does not answer as a reward server does: {error!r}") from error


def _body(rollouts: Sequence[Trajectory]) -> bytes:
    content = {"rollouts": [_to_json(rollout) for rollout in rollouts]}
    try:
        return json.dumps(content, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise EngineError(f"a rollout cannot be sent: half of a surrogate pair: {error}") from error


def _to_json(rollout: Trajectory) -> dict[str, object]:
    item: dict[str, object] = {
        "problem": rollout.problem.prompt,
        "answer": rollout.problem.answer,
        "is_truncated": rollout.stop_reason is StopReason.LENGTH,
    }
    if rollout.steps:
        return item | {"steps": [step.text for step in rollout.steps]}
    return item | {"completion": ""}


def _from_json(item: Mapping[str, Any]) -> Scored:
    failures = {
        part["part"]: Failure(kind=part["kind"], message=part["message"])
        for part in cast("list[dict[str, str]]", item["failures"])
    }
    values: list[float] | None = item["scores"]
    spans = cast("list[tuple[int, int]]", item["spans"])
    reward = Reward(
        spans=tuple((start, end) for start, end in spans),
        scores=failures.get("scores") if values is None else StepScores(values=tuple(values)),
        outcome=failures.get("outcome", item["outcome"]),
    )
    return Scored(reward=reward, number=item["reward"])
