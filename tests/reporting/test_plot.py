"""Where things stand in the plot of accuracy against tokens."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from prm_search.reporting.plot import HEIGHT, WIDTH, plot_accuracy
from prm_search.reporting.summary import MethodSummary
from prm_search.statistics import wilson


def row(method: str, tokens: float, num_right: int | None, num_total: int = 100) -> MethodSummary:
    return MethodSummary(
        method=method,
        num_samples=1,
        accuracy=None if num_right is None else wilson(num_right, num_total),
        num_problems=num_total,
        num_seeds=1,
        num_failures=0,
        num_ungradable=0,
        policy_tokens=int(tokens * num_total),
        policy_tokens_per_problem=tokens,
        prm_tokens_computed=0,
        prm_tokens_cached=0,
        prm_tokens_recomputed=0,
        seconds=1.0,
    )


def test_there_is_no_plot_without_an_accuracy():
    assert plot_accuracy([]) is None
    assert plot_accuracy([row("failed", 0, None)]) is None


def test_more_tokens_stand_further_right_and_more_accuracy_higher():
    plot = plot_accuracy([row("greedy", 100, 50), row("beam", 1600, 80)])
    assert plot is not None
    greedy, beam = plot.marks
    assert greedy.x < beam.x
    assert greedy.y > beam.y
    assert beam.high < beam.y < beam.low
    assert [tick.text for tick in plot.x_ticks] == ["100", "200", "500", "1k"]


def test_methods_of_equal_cost_stand_side_by_side_with_labels_apart():
    plot = plot_accuracy([row(name, 1600, 80) for name in "abc"])
    assert plot is not None
    places = [mark.x for mark in plot.marks]
    labels = sorted(mark.label_y for mark in plot.marks)
    assert all(second - first >= 10 for first, second in pairwise(places))
    assert all(second - first >= 16 for first, second in pairwise(labels))


@given(st.lists(st.tuples(st.floats(1, 1e6), st.integers(0, 100)), min_size=1, max_size=12))
def test_everything_stands_within_the_drawing(points: list[tuple[float, int]]):
    plot = plot_accuracy([row(f"m{i}", tokens, right) for i, (tokens, right) in enumerate(points)])
    assert plot is not None
    assert len(plot.marks) == len(points)
    assert len(plot.x_ticks) >= 1
    assert len(plot.y_ticks) >= 2
    for mark in plot.marks:
        assert 0 < mark.x < mark.label_x < WIDTH
        assert 0 <= mark.high <= mark.y <= mark.low <= HEIGHT
        assert 0 <= mark.label_y <= HEIGHT
