"""Whole solutions, one after another, until there are enough."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from prm_search.protocols import Until
from prm_search.search.exploration import Exploration
from prm_search.search.in_order import InOrder
from prm_search.search.leaf import Leaf


async def sample_until(
    are_enough: Callable[[list[Leaf]], Awaitable[bool]],
    exploration: Exploration,
    *,
    max_samples: int,
    max_concurrent: int,
) -> None:
    """Draw solutions from the root until there are enough, or the budget is spent.

    Args:
        are_enough: whether to stop, from the solutions so far in the order of their beginning.
            Those in progress when it says so are finished nonetheless.
        exploration: where to record it.
        max_samples: how many solutions at most.
        max_concurrent: how many side by side.
    """
    leaves: list[Leaf] = []
    num_begun = 0
    may_begin = True
    async with InOrder(exploration, max_concurrent=max_concurrent) as expansions:
        while True:
            while may_begin and num_begun < max_samples and expansions.has_room:
                may_begin = expansions.may_go_on()
                if may_begin:
                    expansions.begin(
                        exploration.root, num_samples=1, first_child=num_begun, until=Until.END
                    )
                    num_begun += 1
            if not expansions:
                return
            leaves += await expansions.take()
            may_begin = may_begin and not await are_enough(leaves)
