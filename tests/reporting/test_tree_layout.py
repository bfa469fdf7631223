"""The layout of the tree viewer: rows and columns that its script gives to a tree."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

import pytest

import prm_search.reporting

LAYOUT = Path(prm_search.reporting.__file__).parent / "templates" / "layout.js"
NODE = shutil.which("node", path=f"{Path(sys.executable).parent}") or shutil.which("node")

Place: TypeAlias = dict[str, float]

pytestmark = pytest.mark.skipif(NODE is None, reason="needs node")

_DRIVER = """
const trees = JSON.parse(require("fs").readFileSync(0, "utf8"));
const result = trees.map(({parents, hidden}) =>
  Object.fromEntries(layOut(parents, (id) => !hidden.includes(id))));
console.log(JSON.stringify(result));
"""


def lay_out(*trees: dict[str, list[int]]) -> list[dict[int, Place]]:
    assert NODE is not None
    done = subprocess.run(
        [NODE, "-e", LAYOUT.read_text() + _DRIVER],
        input=json.dumps(trees),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return [{int(key): place for key, place in tree.items()} for tree in json.loads(done.stdout)]


def grown(draw: random.Random) -> dict[str, list[int]]:
    """A random tree by depth and then from left to right, some of its leaves hidden."""
    parents, front = [-1], [0]
    for _ in range(draw.randint(0, 12)):
        children: list[int] = []
        for node in front:
            for _ in range(draw.choice((0, 1, 1, 2, 4))):
                children.append(len(parents))
                parents.append(node)
        front = draw.sample(children, min(len(children), 8))
        front.sort()
    leaves = [node for node in range(1, len(parents)) if node not in parents]
    return {"parents": parents, "hidden": draw.sample(leaves, len(leaves) // 3)}


def test_nodes_of_a_column_stand_apart_and_in_order():
    trees = [grown(random.Random(seed)) for seed in range(60)]
    for tree, places in zip(trees, lay_out(*trees), strict=True):
        parents, hidden = tree["parents"], tree["hidden"]
        assert places.keys() == set(range(len(parents))) - set(hidden)
        assert min(place["row"] for place in places.values()) == pytest.approx(0)
        columns: dict[float, list[float]] = {}
        for node in sorted(places):
            place = places[node]
            if node:
                assert place["column"] == places[parents[node]]["column"] + 1
            columns.setdefault(place["column"], []).append(place["row"])
        for rows in columns.values():
            assert all(below - above > 1 - 1e-9 for above, below in pairwise(rows))


def test_chains_are_straight():
    (places,) = lay_out({"parents": [-1, 0, 0, 0, 1, 2, 3, 4, 6], "hidden": []})
    for chain in ((1, 4, 7), (2, 5), (3, 6, 8)):
        assert len({places[node]["row"] for node in chain}) == 1


def test_a_tree_is_no_higher_than_its_fullest_column_needs():
    """A beam that always goes on from the first node does not drift off."""
    parents = [-1, *[0] * 8]
    for _ in range(10):
        parents += [len(parents) - 8] * 8
    (places,) = lay_out({"parents": parents, "hidden": []})
    assert max(place["row"] for place in places.values()) == pytest.approx(7)
