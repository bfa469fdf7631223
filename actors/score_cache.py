"""Scores of prefixes, each computed once even if it is wanted several times at once."""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence


class ScoreCache:
    """A bounded cache; the least recently used scores go first.

    Args:
        max_entries: how many scores are kept; one takes about 200 bytes.
    """

    def __init__(self, max_entries: int = 200_000) -> None:
        self._max_entries = max_entries
        self._known: OrderedDict[bytes, float] = OrderedDict()
        self._pending: dict[bytes, asyncio.Future[float | None]] = {}
        self._num_clears = 0

    async def get(
        self,
        keys: Sequence[bytes],
        compute: Callable[[Sequence[bytes]], Awaitable[Mapping[bytes, float]]],
    ) -> list[float]:
        """The score of each key.

        Args:
            keys: names of prefixes.
            compute: gives the scores of those that nobody has or is computing. Its error, or a
                score that is not finite, stays with this call: whoever else waits for these
                scores computes them anew.
        """
        found: dict[bytes, float] = {}
        while missing := [key for key in keys if key not in found]:
            found |= self._recall(missing)
            awaited = {
                key: self._pending[key]
                for key in missing
                if key not in found and key in self._pending
            }
            claimed = [key for key in missing if key not in found and key not in awaited]
            if claimed:
                found |= await self._compute(claimed, compute)
            if awaited:
                await asyncio.wait(awaited.values())
            for key, future in awaited.items():
                if (score := future.result()) is not None:
                    found[key] = score
        return [found[key] for key in keys]

    def clear(self) -> None:
        """Forget all scores. Those being computed now are given to whoever waits for them."""
        self._known.clear()
        self._num_clears += 1

    async def _compute(
        self,
        keys: Sequence[bytes],
        compute: Callable[[Sequence[bytes]], Awaitable[Mapping[bytes, float]]],
    ) -> Mapping[bytes, float]:
        futures = {key: asyncio.get_running_loop().create_future() for key in keys}
        self._pending |= futures
        scores: Mapping[bytes, float] = {}
        num_clears = self._num_clears
        try:
            scores = await compute(keys)
        finally:
            finite = {key: score for key, score in scores.items() if math.isfinite(score)}
            for key, future in futures.items():
                del self._pending[key]
                future.set_result(finite.get(key))
            if num_clears == self._num_clears:  # else they may come from other weights
                self._remember(finite)
        return scores

    def _recall(self, keys: Sequence[bytes]) -> dict[bytes, float]:
        known = {key: self._known[key] for key in keys if key in self._known}
        for key in known:
            self._known.move_to_end(key)
        return known

    def _remember(self, scores: Mapping[bytes, float]) -> None:
        self._known |= scores
        while len(self._known) > self._max_entries:
            self._known.popitem(last=False)
