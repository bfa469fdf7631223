"""Whole solutions, until there are enough."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from prm_search.protocols import Until
from prm_search.search.exploration import Exploration
from prm_search.search.in_order import InOrder
from prm_search.search.leaf import Leaf


async def sample_until_enough(
    exploration: Exploration,
    num_missing: Callable[[list[Leaf]], Awaitable[int]],
    *,
    max_samples: int,
) -> None:
    """Draw solutions from the root until there are enough, or the budget is spent.

    As many are drawn side by side as are missing at least. So those are drawn that would have
    been if each had been waited for, and no others.

    Args:
        exploration: where to record it.
        num_missing: how many further solutions it takes at least, given those so far; 0 if they
            are enough. One more solution makes it smaller by 1 at most.
        max_samples: how many solutions at most.
    """
    leaves: list[Leaf] = []
    num_begun, num_taken = 0, 0
    num_needed = await num_missing(leaves)
    async with InOrder(exploration, max_concurrent=max_samples) as expansions:
        while True:
            while num_begun < min(num_needed, max_samples) and expansions.may_go_on():
                expansions.begin(
                    exploration.root, num_samples=1, first_child=num_begun, until=Until.END
                )
                num_begun += 1
            if not expansions:
                return
            leaves += await expansions.take()
            num_taken += 1
            num_needed = num_taken + await num_missing(leaves)
