"""Which algorithm to use when, and where none is worth it: read from the curves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from prm_search.comparison.arms import Arm
from prm_search.comparison.curves import Cell, Curve, Point, estimates
from prm_search.statistics import Estimate

RULE = (
    "For each budget every method is taken at the point of its curve that costs at most so much "
    "on average. The advice is the most accurate of those whose difference to majority vote at "
    "equal cost has a 95 % interval above zero; if there is none, majority vote. Methods are "
    "chosen on the problems that they are measured on, and intervals are not corrected for the "
    "number of comparisons: where several are close, do not read much into the order."
)
MAX_BUDGETS = 6
_TOLERANCE = 1.02
"""A cost may be above a round number by so much."""
_WORTH_ANOTHER = 1.25
"""How far above the last round number the dearest search must be to be a budget of its own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Advice:
    """What to use at a budget."""

    measure: str
    budget: float
    """Mean cost per problem."""
    name: str | None
    """Of the arm; None stands for majority vote."""
    point: Point | None
    """Where on its curve. None for majority vote."""
    close: tuple[str, ...]
    """Arms, better than majority vote too, that this one cannot be told apart from."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Loss:
    """Where a method is less accurate than majority vote at equal cost."""

    name: str
    """Of the arm."""
    measure: str
    costs: tuple[float, float]
    """From the cheapest to the dearest of those points of its curve."""
    worst: Estimate
    """Accuracy minus that of majority vote, where it is lowest."""
    is_sure: bool
    """Whether the 95 % interval is below zero at any of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A method with its curve, and the cells that the curve was made of."""

    arm: Arm
    curve: Curve
    cells: Sequence[Cell]

    def at(self, budget: float) -> Point | None:
        """The dearest point that a budget pays for."""
        found = [each for each in self.curve.shown if each.cost <= budget * _TOLERANCE]
        return found[-1] if found else None

    def cell_of(self, point: Point) -> Cell:
        """The cell that a point was made of."""
        return next(cell for cell in self.cells if cell.limit == point.limit)


def advise(
    candidates: Sequence[Candidate], *, measure: str, seed: int, num_resamples: int
) -> tuple[Advice, ...]:
    """The advice for some budgets, rising; none where there is no majority vote to compare with.

    Args:
        candidates: all methods but majority votes.
    """
    found: list[Advice] = []
    for budget in budgets(candidates):
        better: list[tuple[Candidate, Point]] = []
        is_comparable = False
        for candidate in candidates:
            point = candidate.at(budget)
            if point is not None and point.minus_majority is not None:
                is_comparable = True
                if point.minus_majority.low > 0:
                    better.append((candidate, point))
        if not is_comparable:
            continue
        if not better:
            found.append(Advice(measure=measure, budget=budget, name=None, point=None, close=()))
            continue
        better.sort(key=lambda each: (-each[1].accuracy.value, each[1].cost))
        (best, point), *others = better
        own = best.cell_of(point).correct
        gaps = estimates(
            [own - other.cell_of(its).correct for other, its in others],
            seed=seed,
            num_resamples=num_resamples,
        )
        close = tuple(
            other.arm.name
            for (other, _), gap in zip(others, gaps, strict=True)
            if gap is None or gap.low <= 0
        )
        found.append(
            Advice(measure=measure, budget=budget, name=best.arm.name, point=point, close=close)
        )
    return tuple(found)


def losses(candidates: Sequence[Candidate], *, measure: str) -> tuple[Loss, ...]:
    """Every method that majority vote beats somewhere, on average."""
    found: list[Loss] = []
    for candidate in candidates:
        behind = [
            (point, gap)
            for point in candidate.curve.shown
            if (gap := point.minus_majority) is not None and gap.value < 0
        ]
        if behind:
            found.append(
                Loss(
                    name=candidate.arm.name,
                    measure=measure,
                    costs=(behind[0][0].cost, behind[-1][0].cost),
                    worst=min((gap for _, gap in behind), key=lambda gap: gap.value),
                    is_sure=any(gap.high < 0 for _, gap in behind),
                )
            )
    return tuple(found)


def budgets(candidates: Sequence[Candidate]) -> list[float]:
    """A few round numbers between the cheapest and the dearest point of all curves."""
    costs = [point.cost for each in candidates for point in each.curve.shown if point.cost > 0]
    if not costs:
        return []
    powers = range(math.floor(math.log10(min(costs))), math.ceil(math.log10(max(costs))) + 1)
    round_numbers = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    within = [each for each in round_numbers if min(costs) <= each <= max(costs)]
    if not within or within[-1] * _WORTH_ANOTHER < max(costs):
        within.append(max(costs))
    places = np.linspace(0, len(within) - 1, min(MAX_BUDGETS, len(within))).round().astype(int)
    return [within[place] for place in places]
