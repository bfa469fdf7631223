"""The statistics of Monte-Carlo tree search: values, visits, and which child to visit next.

A walk goes from the root to the end of a solution. While it is on its way it counts, at the nodes
that it has passed, as a visit of value zero: a virtual loss, which sends other walks elsewhere.
At its end, the value of the solution is noted at all of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from prm_search.aggregation import Aggregation, aggregate
from prm_search.search.leaf import Leaf


class Formula(StrEnum):
    """What a child gains for having been visited less than its siblings."""

    uct = "uct"
    """constant * sqrt(log(1 + visits of all siblings) / (1 + visits)).
    Kocsis and Szepesvari, "Bandit based Monte-Carlo planning" (2006)."""
    puct = "puct"
    """constant * prior * sqrt(visits of all siblings) / (1 + visits).
    Silver et al., "Mastering the game of Go without human knowledge" (2017)."""


@dataclass(kw_only=True, slots=True, eq=False)
class VisitedNode:
    """A node, and what walks have found below it."""

    leaf: Leaf
    score: float | None = None
    """What the PRM says of the prefix; None if it could not be scored."""
    prior: float = 1.0
    """Share of its siblings' samples that gave this very step."""
    parent: VisitedNode | None = None
    children: list[VisitedNode] = field(default_factory=list["VisitedNode"])
    num_visits: int = 0
    """Walks that passed and found a value."""
    total_value: float = 0.0
    """Sum of the values that they found."""
    num_walking: int = 0
    """Walks that passed and are still on their way."""
    num_open: int = 1
    """Places from here on where a walk can go on: nodes that nobody has visited or expands."""

    def lineage(self) -> list[VisitedNode]:
        """The nodes from here up to the root."""
        nodes: list[VisitedNode] = [self]
        while (parent := nodes[-1].parent) is not None:
            nodes.append(parent)
        return nodes

    def close(self) -> None:
        """No other walk can go on from here, as long as there are no children."""
        for node in self.lineage():
            node.num_open -= 1

    def grow(self, children: Sequence[VisitedNode]) -> None:
        """Add children."""
        self.children += children
        num_open = sum(child.num_open for child in children)
        for node in self.lineage():
            node.num_open += num_open

    def enter(self) -> None:
        """A walk passes."""
        self.num_walking += 1

    def leave(self, value: float | None) -> None:
        """A walk has ended here; None means that it found no value, and counts for nothing."""
        for node in self.lineage():
            node.num_walking -= 1
            if value is not None:
                node.num_visits += 1
                node.total_value += value


def grown(
    parent: VisitedNode, leaves: Sequence[Leaf], *, aggregation: Aggregation, max_steps: int
) -> list[VisitedNode]:
    """Nodes for new leaves, in which samples of the same step are one node.

    The share of the samples that gave a step estimates its probability under the policy. From a
    prefix of `max_steps` steps no walk goes on.
    """
    same: dict[tuple[str, bool], list[Leaf]] = {}
    for leaf in leaves:
        key = leaf.trajectory.text, leaf.trajectory.is_finished
        same.setdefault(key, []).append(leaf)
    return [
        VisitedNode(
            leaf=first,
            score=aggregate(first.scores, aggregation) if first.scores else None,
            prior=(1 + len(others)) / len(leaves),
            parent=parent,
            num_open=int(first.trajectory.is_finished or len(first.path) < max_steps),
        )
        for first, *others in same.values()
    ]


@dataclass(frozen=True, kw_only=True, slots=True)
class Chooser:
    """Which child a walk visits next."""

    formula: Formula
    constant: float
    virtual_loss: float

    def best(self, children: Sequence[VisitedNode]) -> VisitedNode:
        """The open child with the highest value and bonus; ties from left to right.

        There has to be one. A child of which nothing is known comes last.
        """
        num_visits = [self._num_visits(child) for child in children]
        total = math.fsum(num_visits)

        def key(place: int) -> tuple[bool, float, int]:
            child, num = children[place], num_visits[place]
            value = self.value(child)
            if value is None:
                return False, 0.0, -place
            return True, value + self._bonus(child.prior, num, total), -place

        return children[max((p for p, child in enumerate(children) if child.num_open), key=key)]

    def value(self, node: VisitedNode) -> float | None:
        """The mean of its own score and of the values found below, virtual losses included."""
        if node.score is None:
            if not node.num_visits:
                return None
            return node.total_value / self._num_visits(node)
        return (node.score + node.total_value) / (1 + self._num_visits(node))

    def _num_visits(self, node: VisitedNode) -> float:
        return node.num_visits + self.virtual_loss * node.num_walking

    def _bonus(self, prior: float, num_visits: float, total: float) -> float:
        if self.formula is Formula.uct:
            return self.constant * math.sqrt(math.log1p(total) / (1 + num_visits))
        return self.constant * prior * math.sqrt(total) / (1 + num_visits)
