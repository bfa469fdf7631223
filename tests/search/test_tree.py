from __future__ import annotations

import json

import pytest

from prm_search.errors import DataError
from prm_search.tree import Node, SearchTree
from prm_search.types import StopReason

TREE = SearchTree(
    nodes=(
        Node(id=0, parent=None, is_chosen=True),
        Node(id=1, parent=0, text="a", score=0.5, stop_reason=StopReason.STEP, is_chosen=True),
        Node(id=2, parent=0, text="b", failure="ScoringError: nan", is_kept=False),
        Node(id=3, parent=1, text="c", num_tokens=2, score=0.25, stop_reason=StopReason.LENGTH),
    )
)


def test_a_tree_survives_json() -> None:
    assert SearchTree.from_json(json.loads(json.dumps(TREE.to_json()))) == TREE


def test_a_tree_knows_its_shape() -> None:
    root, a, b, c = TREE.nodes
    assert TREE.root is root
    assert TREE.children(root) == (a, b)
    assert TREE.children(b) == ()
    assert TREE.path_to(c) == (root, a, c)
    assert [TREE.depth(node) for node in TREE.nodes] == [0, 1, 1, 2]
    assert TREE.leaves == (b, c)


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ((), "root"),
        ((Node(id=0, parent=0),), "root"),
        ((Node(id=0, parent=None), Node(id=2, parent=0)), "node 1 .* id 2"),
        ((Node(id=0, parent=None), Node(id=1, parent=1)), "node 1 .* parent 1"),
        ((Node(id=0, parent=None), Node(id=1, parent=None)), "node 1 .* parent None"),
    ],
)
def test_a_malformed_tree_is_refused(nodes: tuple[Node, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        SearchTree(nodes=nodes)


@pytest.mark.parametrize("change", [{"stop_reason": "tired"}, {"colour": "red"}])
def test_a_row_that_cannot_be_read_is_named(change: dict[str, str]) -> None:
    data = TREE.to_json()
    data["nodes"][2].update(change)
    with pytest.raises(DataError, match="node 2"):
        SearchTree.from_json(data)


def test_data_without_nodes_is_refused() -> None:
    with pytest.raises(DataError, match="'nodes'"):
        SearchTree.from_json({})
