from __future__ import annotations

import math

import pytest

from prm_search.aggregation import Aggregation
from prm_search.search.leaf import Leaf
from prm_search.search.visits import Chooser, Formula, VisitedNode, grown
from prm_search.types import StepScores, Trajectory
from tests.search.scripted import PROBLEM, end, step

ROOT = Leaf(path=(), trajectory=Trajectory(problem=PROBLEM))


def leaf(child: int, text: str, score: float | None) -> Leaf:
    return Leaf(
        path=(child,),
        trajectory=ROOT.trajectory.extend(step(text)),
        scores=None if score is None else StepScores(values=(score,)),
    )


def tree(*steps: tuple[str, float | None], max_steps: int = 9) -> VisitedNode:
    root = VisitedNode(leaf=ROOT)
    root.close()
    leaves = [leaf(child, text, score) for child, (text, score) in enumerate(steps)]
    root.grow(grown(root, leaves, aggregation=Aggregation.last, max_steps=max_steps))
    return root


def chooser(
    formula: Formula = Formula.puct, constant: float = 1.0, virtual_loss: float = 1.0
) -> Chooser:
    return Chooser(formula=formula, constant=constant, virtual_loss=virtual_loss)


def test_samples_of_the_same_step_are_one_node_whose_prior_is_their_share() -> None:
    root = tree(("a;", 0.5), ("b;", 0.4), ("a;", 0.5), ("a;", 0.5))
    assert [(node.leaf.path, node.prior) for node in root.children] == [((0,), 0.75), ((1,), 0.25)]
    assert root.num_open == 2


def test_the_value_is_the_mean_of_the_own_score_and_of_what_was_found_below() -> None:
    root = tree(("a;", 0.5), ("b;", None))
    a, b = root.children
    assert chooser().value(a) == 0.5
    assert chooser().value(b) is None
    for node, value in ((a, 0.8), (a, 0.2), (b, 0.4)):
        root.enter()
        node.enter()
        node.leave(value)
    assert chooser().value(a) == pytest.approx((0.5 + 0.8 + 0.2) / 3)
    assert chooser().value(b) == pytest.approx(0.4)
    assert root.num_visits == a.num_visits + b.num_visits == 3
    assert root.total_value == pytest.approx(1.4)
    assert root.num_walking == a.num_walking == b.num_walking == 0


def test_a_walk_without_a_value_counts_for_nothing() -> None:
    root = tree(("a;", 0.5))
    root.enter()
    root.children[0].enter()
    root.children[0].leave(None)
    assert (root.num_visits, root.total_value, root.num_walking) == (0, 0.0, 0)


def test_without_visits_the_score_decides() -> None:
    root = tree(("a;", 0.5), ("b;", 0.6), ("c;", None))
    for formula in Formula:
        assert chooser(formula).best(root.children) is root.children[1]


def test_a_child_of_which_nothing_is_known_comes_last() -> None:
    root = tree(("a;", None), ("b;", 0.0))
    root.children[0].enter()  # a virtual loss is no knowledge
    assert chooser().best(root.children) is root.children[1]


def test_formulas_by_hand() -> None:
    root = tree(("a;", 0.6), ("b;", 0.5), ("b;", 0.5), ("c;", 0.5))
    a, b, _ = root.children
    for node in (root, a):
        node.num_visits, node.total_value = 3, 1.8
    # value .6 for a with 3 visits; for b .5, for c .5 with none
    uct, puct = chooser(Formula.uct, 0.1), chooser(Formula.puct, 0.1)
    assert 0.6 + 0.1 * math.sqrt(math.log(4) / 4) > 0.5 + 0.1 * math.sqrt(math.log(4))
    assert uct.best(root.children) is a
    assert chooser(Formula.uct, 0.2).best(root.children) is b
    assert 0.6 + 0.1 / 4 * math.sqrt(3) / 4 > 0.5 + 0.1 / 2 * math.sqrt(3)
    assert puct.best(root.children) is a
    assert chooser(Formula.puct, 0.2).best(root.children) is b  # c has half the prior


def test_virtual_losses_send_other_walks_elsewhere() -> None:
    root = tree(("a;", 0.6), ("b;", 0.5))
    a, b = root.children
    a.enter()
    for formula in Formula:
        assert chooser(formula, virtual_loss=1.0).best(root.children) is b
        assert chooser(formula, virtual_loss=0.0).best(root.children) is a
    assert chooser().value(a) == pytest.approx(0.3)


def test_no_walk_goes_where_all_is_closed() -> None:
    root = tree(("a;", 0.9), (end(1), 0.1))
    a, b = root.children
    a.close()
    assert chooser().best(root.children) is b
    assert root.num_open == 1
    a.grow(grown(a, [leaf(0, "x;", 0.5)], aggregation=Aggregation.last, max_steps=9))
    assert (a.num_open, root.num_open) == (1, 2)
    assert chooser().best(root.children) is a


def test_walks_end_at_the_greatest_depth() -> None:
    root = tree(("a;", 0.9), (end(1), 0.1), max_steps=1)
    assert [child.num_open for child in root.children] == [0, 1]
    assert root.num_open == 1
