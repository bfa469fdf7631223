"""Plots of evaluations: where everything stands in the drawing.

All positions are in units of the drawing, from its upper left corner.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 620, 340
_LEFT, _TOP, _BOTTOM, _LETTER = 48, 14, 46, 7.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Dot:
    """A value to be drawn. `low` and `high` bound it, if that is known."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None
    x_low: float | None = None
    x_high: float | None = None
    note: str = ""
    """Shown when it is pointed at."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """Dots that belong together; a line joins them."""

    name: str
    color: int
    dots: tuple[Dot, ...]
    is_dashed: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Tick:
    """A place on an axis."""

    at: float
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A series as it is drawn."""

    series: Series
    dots: tuple[Dot, ...]
    """The same dots in units of the drawing."""
    path: str
    label_y: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Chart:
    """Everything to draw."""

    title: str
    x_label: str
    left: float
    right: float
    bottom: float
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[Line, ...]
    mark_x: float | None = None
    """A vertical line, here the threshold that was declared."""
    width: int = WIDTH
    height: int = HEIGHT


def chart(
    series: Sequence[Series],
    *,
    title: str,
    x_label: str,
    is_log: bool = False,
    is_share: bool = False,
    mark: float | None = None,
) -> Chart | None:
    """Lay out a chart of shares; None if there is nothing to draw.

    Args:
        is_log: whether the x axis is logarithmic; all x are then above 0.
        is_share: whether x is a share, to be written in percent.
        mark: an x to be marked.
    """
    dots = [dot for item in series for dot in item.dots]
    if not dots:
        return None
    right = WIDTH - 26 - _LETTER * max(len(item.name) for item in series)
    bottom = HEIGHT - _BOTTOM
    x_ticks, to_x = _x_axis(dots, _LEFT + 16, right - 12, is_log=is_log, is_share=is_share)
    y_ticks, to_y = _y_axis(dots, bottom)

    def place(dot: Dot) -> Dot:
        return Dot(
            x=to_x(dot.x),
            y=to_y(dot.y),
            low=None if dot.low is None else to_y(dot.low),
            high=None if dot.high is None else to_y(dot.high),
            x_low=None if dot.x_low is None else to_x(dot.x_low),
            x_high=None if dot.x_high is None else to_x(dot.x_high),
            note=dot.note,
        )

    placed = [(item, tuple(map(place, item.dots))) for item in series if item.dots]
    labels = _spread([found[-1].y for _, found in placed], bottom)
    return Chart(
        title=title,
        x_label=x_label,
        left=_LEFT,
        right=right,
        bottom=bottom,
        x_ticks=x_ticks,
        y_ticks=y_ticks,
        lines=tuple(
            Line(
                series=item,
                dots=found,
                path="M" + " L".join(f"{dot.x:.1f},{dot.y:.1f}" for dot in found),
                label_y=label,
            )
            for (item, found), label in zip(placed, labels, strict=True)
        ),
        mark_x=None if mark is None else to_x(mark),
    )


def _x_axis(
    dots: Sequence[Dot], start: float, end: float, *, is_log: bool, is_share: bool
) -> tuple[tuple[Tick, ...], Callable[[float], float]]:
    scale = math.log if is_log else float
    values = [
        value for dot in dots for value in (dot.x, dot.x_low, dot.x_high) if value is not None
    ]
    low, high = scale(min(values)), scale(max(values))
    if high == low:
        low, high = low - 0.5, high + 0.5

    def to_x(value: float) -> float:
        return start + (scale(value) - low) / (high - low) * (end - start)

    if is_log:
        powers = range(math.floor(low / math.log(10)), math.ceil(high / math.log(10)) + 1)
        steps = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    else:
        size = _step(high - low)
        steps = [index * size for index in range(math.floor(low / size), math.ceil(high / size))]
    within = [value for value in steps if low - 1e-9 <= scale(value) <= high + 1e-9]
    shown = within or sorted({min(values), max(values)})
    return tuple(
        Tick(at=to_x(value), text=f"{value:.0%}" if is_share else _short(value)) for value in shown
    ), to_x


def _y_axis(
    dots: Sequence[Dot], bottom: float
) -> tuple[tuple[Tick, ...], Callable[[float], float]]:
    values = [value for dot in dots for value in (dot.y, dot.low, dot.high) if value is not None]
    size = _step(max(values) - min(values))
    first = math.floor(min(values) / size + 1e-9)
    last = max(math.ceil(max(values) / size - 1e-9), first + 1)

    def to_y(value: float) -> float:
        return bottom - (value / size - first) / (last - first) * (bottom - _TOP)

    ticks = (index * size for index in range(first, last + 1))
    return tuple(Tick(at=to_y(value), text=f"{value:.0%}") for value in ticks), to_y


def _step(span: float) -> float:
    return next((size for size in (0.02, 0.05, 0.1) if span / size <= 6), 0.2)


def _short(value: float) -> str:
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def _spread(heights: Sequence[float], bottom: float) -> list[float]:
    """The heights, moved as far apart as lines of text need."""
    placed = [0.0] * len(heights)
    limit = _TOP + 4.0
    order = sorted(range(len(heights)), key=lambda index: (heights[index], index))
    for index in order:
        placed[index] = max(heights[index], limit)
        limit = placed[index] + 15
    ceiling = bottom - 4.0
    for index in reversed(order):
        placed[index] = min(placed[index], ceiling)
        ceiling = placed[index] - 15
    return placed
