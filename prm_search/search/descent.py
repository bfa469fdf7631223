"""Step by step from the root: expand, score, keep the best. Beam search and its relatives."""

from __future__ import annotations

from typing import Protocol

from prm_search.aggregation import Aggregation
from prm_search.concurrency import gather_all
from prm_search.search.exploration import Exploration
from prm_search.search.leaf import Leaf, rank


class Expand(Protocol):
    """Draws continuations of a leaf, with the scores by which they are ranked."""

    async def __call__(
        self, leaf: Leaf, *, num_samples: int, first_child: int = 0
    ) -> tuple[Leaf, ...]:
        """See `Exploration.expand`."""
        ...


async def descend(
    exploration: Exploration,
    *,
    num_beams: int,
    num_expansions: int,
    max_steps: int,
    aggregation: Aggregation,
    first_child: int = 0,
    expand: Expand | None = None,
) -> tuple[Leaf, ...]:
    """Keep the best `num_beams / num_expansions` prefixes at each depth until they have ended.

    A kept prefix that has ended gives up its place, so later depths draw fewer samples. The
    budget is looked at before each depth.

    Args:
        exploration: where to record it.
        num_beams: samples drawn from the root, and at most at each depth.
        num_expansions: samples drawn from each kept prefix; divides `num_beams`.
        max_steps: how many depths to go down at most.
        aggregation: how prefixes are ranked.
        first_child: place of the first sample among the children of the root.
        expand: how to draw and score; None means that of the exploration.

    Returns:
        The kept leaves that have ended, in the order in which they did.
    """
    expand = expand or exploration.expand
    num_places = num_beams // num_expansions
    beams = [exploration.root]
    num_samples = num_beams
    ended: list[Leaf] = []
    for _ in range(max_steps):
        if not beams or not exploration.may_go_on():
            break
        branches = await gather_all(
            expand(beam, num_samples=num_samples, first_child=first_child) for beam in beams
        )
        leaves = [leaf for branch in branches for leaf in branch]
        kept = rank(leaves, aggregation)[: num_places - len(ended)]
        exploration.prune(leaves, keep=kept)
        ended += [leaf for leaf in kept if leaf.trajectory.is_finished]
        beams = [leaf for leaf in kept if not leaf.trajectory.is_finished]
        num_samples, first_child = num_expansions, 0
    return tuple(ended)
