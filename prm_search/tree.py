"""The tree that a search has explored, in a form small enough to store for each problem."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, cast

from prm_search.errors import DataError
from prm_search.types import StopReason


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """A step of the tree; the root stands for the problem and has no step.

    A continuation without content belongs to the step before it (see `Trajectory.extend`): its
    node carries the score of that step, its own text included.
    """

    id: int
    """Position in `SearchTree.nodes`."""
    parent: int | None
    """Id of the node before; None for the root."""
    text: str = ""
    """The step as generated, separator included."""
    num_tokens: int = 0
    """Policy tokens of the step."""
    stop_reason: StopReason | None = None
    """Why the step ended; None for the root."""
    score: float | None = None
    """P(step is correct), or None if it was not scored."""
    failure: str | None = None
    """What went wrong here: the step could not be used, scored or continued."""
    is_kept: bool = True
    """Whether it survived pruning."""
    is_chosen: bool = False
    """Whether it lies on the path of the best candidate."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchTree:
    """All nodes that a search has explored, by depth and then from left to right.

    The order depends on the places in the tree alone, not on what was finished first.
    """

    nodes: tuple[Node, ...]

    def __post_init__(self) -> None:
        if not self.nodes or self.nodes[0].parent is not None:
            raise DataError("a search tree must begin with its root, a node without a parent")
        for index, node in enumerate(self.nodes):
            if node.id != index:
                raise DataError(f"node {index} of the search tree has the id {node.id}")
            if index and (node.parent is None or not 0 <= node.parent < index):
                raise DataError(
                    f"node {index} of the search tree has the parent {node.parent}; "
                    "a parent must come before its children"
                )

    @property
    def root(self) -> Node:
        """The node of the problem."""
        return self.nodes[0]

    @property
    def leaves(self) -> tuple[Node, ...]:
        """The nodes that have no children."""
        parents = {node.parent for node in self.nodes}
        return tuple(node for node in self.nodes if node.id not in parents)

    def children(self, node: Node) -> tuple[Node, ...]:
        """The nodes right under a node, from left to right."""
        return tuple(other for other in self.nodes if other.parent == node.id)

    def path_to(self, node: Node) -> tuple[Node, ...]:
        """The nodes from the root to a node, both included."""
        path = [node]
        while path[-1].parent is not None:
            path.append(self.nodes[path[-1].parent])
        return tuple(reversed(path))

    def depth(self, node: Node) -> int:
        """How many steps lead to a node; 0 for the root."""
        return len(self.path_to(node)) - 1

    def to_json(self) -> dict[str, Any]:
        """The tree as plain dicts and lists, for `json.dumps`."""
        names = [item.name for item in fields(Node)]
        return {"nodes": [{name: getattr(node, name) for name in names} for node in self.nodes]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SearchTree:
        """The tree that `to_json` wrote.

        Raises:
            DataError: if the data is not a search tree; the message names the node.
        """
        if "nodes" not in data:
            raise DataError("a search tree needs the field 'nodes'")
        rows = cast("Sequence[Mapping[str, Any]]", data["nodes"])
        return cls(nodes=tuple(_node(index, row) for index, row in enumerate(rows)))


def _node(index: int, row: Mapping[str, Any]) -> Node:
    try:
        values = dict(row)
        if values["stop_reason"] is not None:
            values["stop_reason"] = StopReason(values["stop_reason"])
        return Node(**values)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"node {index} of the search tree cannot be read: {error!r}") from error
