"""Accuracy against policy tokens: where everything stands in the plot.

All positions are in units of the drawing, from its upper left corner.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from prm_search.reporting.summary import MethodSummary

WIDTH, HEIGHT = 760, 400
_LEFT, _TOP, _BOTTOM = 48, 14, 46
_LETTER = 7.0  # width of a letter of a label, on average
_NEAR = 12  # marks closer than this are drawn side by side, this far apart
_LINE_HEIGHT = 17


@dataclass(frozen=True, kw_only=True, slots=True)
class Tick:
    """A place on an axis."""

    at: float
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """A method: a point, its interval from `low` to `high`, and its name beside it."""

    row: MethodSummary
    rank: int
    """Place of the method in the table, which gives it its colour."""
    x: float
    y: float
    low: float
    high: float
    label_x: float = 0.0
    label_y: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Plot:
    """Everything to draw."""

    left: float
    right: float
    bottom: float
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    marks: tuple[Mark, ...]
    width: int = WIDTH
    height: int = HEIGHT


def plot_accuracy(rows: Sequence[MethodSummary]) -> Plot | None:
    """The plot, or None if no method has an accuracy yet.

    Methods that cost almost the same are put side by side, so that no interval hides another.
    """
    shown = [
        (rank, row, row.accuracy)
        for rank, row in enumerate(rows)
        if row.accuracy is not None and row.policy_tokens_per_problem > 0
    ]
    if not shown:
        return None
    right = WIDTH - 30 - _LETTER * max(len(row.method) for _, row, _ in shown)
    bottom = HEIGHT - _BOTTOM
    x_values, to_x = _token_axis(
        [row.policy_tokens_per_problem for _, row, _ in shown], _LEFT + 24, right - 40
    )
    y_values, to_y = _accuracy_axis(
        min(item.low for _, _, item in shown), max(item.high for _, _, item in shown), bottom
    )
    marks = [
        Mark(
            row=row,
            rank=rank,
            x=to_x(row.policy_tokens_per_problem),
            y=to_y(estimate.value),
            low=to_y(estimate.low),
            high=to_y(estimate.high),
        )
        for rank, row, estimate in shown
    ]
    return Plot(
        left=_LEFT,
        right=right,
        bottom=bottom,
        x_ticks=tuple(Tick(at=to_x(value), text=_tokens(value)) for value in x_values),
        y_ticks=tuple(Tick(at=to_y(value), text=f"{value:.0%}") for value in y_values),
        marks=tuple(mark for group in _groups(marks) for mark in _apart(group, bottom)),
    )


def _token_axis(
    tokens: Sequence[float], start: float, end: float
) -> tuple[list[float], Callable[[float], float]]:
    """A logarithmic axis; ticks at 1, 2 and 5 times powers of ten within the data."""
    low, high = math.log(min(tokens) / 1.15), math.log(max(tokens) * 1.15)
    powers = range(math.floor(low / math.log(10)), math.ceil(high / math.log(10)) + 1)
    values = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    within = [value for value in values if low <= math.log(value) <= high]
    if len(within) < 2:
        within = [min(tokens), max(tokens)] if max(tokens) > min(tokens) else [tokens[0]]
    return within, lambda value: start + (math.log(value) - low) / (high - low) * (end - start)


def _accuracy_axis(
    low: float, high: float, bottom: float
) -> tuple[list[float], Callable[[float], float]]:
    """A linear axis around the intervals, from one tick to another."""
    step = next((size for size in (0.02, 0.05, 0.1) if (high - low) / size <= 6), 0.2)
    first = max(math.floor(low / step), 0)
    last = min(max(math.ceil(high / step), first + 1), round(1 / step))
    values = [index * step for index in range(first, last + 1)]
    span = values[-1] - values[0]
    return values, lambda value: bottom - (value - values[0]) / span * (bottom - _TOP)


def _groups(marks: Sequence[Mark]) -> list[list[Mark]]:
    """Marks that are near each other, from left to right."""
    groups: list[list[Mark]] = []
    for mark in sorted(marks, key=lambda item: (item.x, item.rank)):
        if groups and mark.x - groups[-1][-1].x < _NEAR:
            groups[-1].append(mark)
        else:
            groups.append([mark])
    return groups


def _apart(group: Sequence[Mark], bottom: float) -> list[Mark]:
    """The marks of a group side by side, rising, and their labels one below the other."""
    group = sorted(group, key=lambda mark: (-mark.y, mark.rank))
    center = sum(mark.x for mark in group) / len(group)
    first = center - _NEAR * (len(group) - 1) / 2
    label_x = first + _NEAR * (len(group) - 1) + 16
    heights = _spread([mark.y for mark in group], bottom)
    return [
        replace(mark, x=first + _NEAR * index, label_x=label_x, label_y=height)
        for index, (mark, height) in enumerate(zip(group, heights, strict=True))
    ]


def _spread(heights: Sequence[float], bottom: float) -> list[float]:
    """The heights, moved as far apart as lines of text need."""
    order = sorted(range(len(heights)), key=lambda index: (heights[index], index))
    placed = [0.0] * len(heights)
    limit = _TOP + _LINE_HEIGHT / 2
    for index in order:
        placed[index] = max(heights[index], limit)
        limit = placed[index] + _LINE_HEIGHT
    ceiling = bottom - _LINE_HEIGHT / 2
    for index in reversed(order):
        placed[index] = min(placed[index], ceiling)
        ceiling = placed[index] - _LINE_HEIGHT
    return placed


def _tokens(value: float) -> str:
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"
