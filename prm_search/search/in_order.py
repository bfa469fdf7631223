"""Expansions of one search side by side, whose results count in the order of their beginning."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from prm_search.protocols import Until
from prm_search.search.exploration import Exploration
from prm_search.search.leaf import Leaf


@dataclass(frozen=True, kw_only=True, slots=True)
class _Begun:
    """An expansion in progress."""

    fork: Exploration
    num_samples: int
    task: asyncio.Task[tuple[Leaf, ...]]


class InOrder:
    """Keeps some expansions going, and hands over their results in the order of their beginning.

    What a search does next can then depend only on results that were handed over, never on what
    happens to be finished. Nothing but the oldest is waited for, so there is no barrier.
    """

    def __init__(self, exploration: Exploration, *, max_concurrent: int) -> None:
        self._exploration = exploration
        self._max_concurrent = max_concurrent
        self._begun: deque[_Begun] = deque()
        self._num_taken = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for begun in self._begun:
            begun.task.cancel()
        await asyncio.gather(*(begun.task for begun in self._begun), return_exceptions=True)

    def __len__(self) -> int:
        """How many are in progress."""
        return len(self._begun)

    @property
    def has_room(self) -> bool:
        """Whether another one may run beside those in progress."""
        return len(self._begun) < self._max_concurrent

    def may_go_on(self) -> bool:
        """Whether the budget allows another one; if not, the result of the search will say so."""
        return self._exploration.may_go_on(
            num_begun=sum(begun.num_samples for begun in self._begun)
        )

    def begin(
        self, leaf: Leaf, *, num_samples: int, first_child: int = 0, until: Until = Until.STEP
    ) -> None:
        """Begin to expand a leaf; see `Exploration.expand`."""
        fork = self._exploration.fork_round(num_known=self._num_taken)
        expansion = fork.expand(leaf, num_samples=num_samples, first_child=first_child, until=until)
        self._begun.append(
            _Begun(fork=fork, num_samples=num_samples, task=asyncio.create_task(expansion))
        )

    async def take(self) -> tuple[Leaf, ...]:
        """The new leaves of the expansion that began first, of those not yet taken."""
        begun = self._begun[0]
        leaves = await begun.task
        self._begun.popleft()
        self._num_taken += 1
        self._exploration.join(begun.fork)
        return leaves
