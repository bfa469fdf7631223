"""Accuracy by cost: one curve for each method, from cuts of the searches that were run.

a run ──cut at some limits──▶ cost, accuracy, accuracy minus majority vote at that cost
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prm_search.comparison.arms import Arm
from prm_search.comparison.majority import Baseline
from prm_search.comparison.measures import Measure
from prm_search.comparison.searched import Result, Searched
from prm_search.statistics import Estimate, percentile_interval, resample_sums, wilson

RULE = (
    "Curves: each search is cut where it would have ended under a budget, and answers by its own "
    "rule with what it had by then. One without a solution by then is wrong; a curve begins where "
    "half of the searches have one. The last point is the search as it was run. Best-of-N is cut "
    "between samples, beam search and its like between depths, DVTS and MCTS where they look at "
    "their budget."
)
NUM_LIMITS = 18
_RATIO = math.sqrt(2)
"""Of a limit to the next one."""
SHARE_ANSWERED = 0.5
"""Of the searches: where a curve begins."""

Column = NDArray[np.float64]
"""[num_problems] a mean over seeds; NaN where nothing is known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """A method that is cut at some limit, problem by problem."""

    limit: float | None
    """Per problem; None for the search as it was run."""
    cost: float
    """What a search spent, on average."""
    correct: Column
    costs: Column
    share_answered: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """A place on a curve."""

    limit: float | None
    """Per problem; None for the search as it was run."""
    cost: float
    """What a search spent, on average."""
    accuracy: Estimate
    share_answered: float
    """Of the searches: how many had a solution to choose."""
    minus_majority: Estimate | None
    """Accuracy minus that of majority vote at equal cost, on the same problems; None where there
    is no majority vote."""
    share_beyond_pool: float
    """Of the problems: on how many majority vote had less than the equal cost, because there are
    no more samples."""

    @property
    def is_shown(self) -> bool:
        """Whether enough searches have an answer for the point to be drawn."""
        return self.share_answered >= SHARE_ANSWERED


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """Accuracy of a method by what it costs."""

    name: str
    """Of the arm."""
    measure: str
    points: tuple[Point, ...]
    """Cost rising."""

    @property
    def shown(self) -> tuple[Point, ...]:
        """The points that are drawn; the end of the searches always is."""
        return tuple(point for point in self.points if point.is_shown or point.limit is None)


@dataclass(frozen=True, kw_only=True, slots=True)
class MajorityCurve:
    """Accuracy of majority vote by what it costs."""

    measure: str
    sizes: tuple[int, ...]
    """[num_points] numbers of samples."""
    costs: tuple[float, ...]
    accuracy: tuple[Estimate, ...]


def cells(arm: Arm, problems: Sequence[str], measure: Measure) -> list[Cell]:
    """A method cut at some limits, cost rising; the last is uncut."""
    places = {problem: place for place, problem in enumerate(problems)}
    searches = [each for each in arm.searches if each.problem in places]
    known = [each for each in searches if not each.is_failed]
    most = max((measure.cost(each.result.spent) for each in known), default=0.0)
    amounts = [most / _RATIO**step for step in range(NUM_LIMITS, 0, -1)] if most else []
    if any(each.course is None for each in known):
        amounts = []
    ends = [each.under([measure.limit(amount) for amount in amounts]) for each in searches]
    whole = _cell(None, searches, [each.result for each in searches], places, measure)
    found: list[Cell] = []
    for place, amount in enumerate(amounts):
        cell = _cell(amount, searches, [end[place] for end in ends], places, measure)
        is_new = not found or cell.cost > found[-1].cost
        if is_new and cell.cost < whole.cost:
            found.append(cell)
    return [*found, whole]


def curve(
    arm: Arm,
    found: Sequence[Cell],
    problems: Sequence[str],
    baseline: Baseline | None,
    measure: Measure,
    *,
    seed: int,
    num_resamples: int,
) -> Curve:
    """The curve of a method from its cells."""
    votes = [_votes(cell, problems, baseline, measure) for cell in found]
    gaps = [cell.correct - vote for cell, (vote, _) in zip(found, votes, strict=True)]
    points = tuple(
        Point(
            limit=cell.limit,
            cost=cell.cost,
            accuracy=accuracy,
            share_answered=cell.share_answered,
            minus_majority=minus_majority,
            share_beyond_pool=share,
        )
        for cell, accuracy, minus_majority, (_, share) in zip(
            found,
            shares([cell.correct for cell in found], seed=seed, num_resamples=num_resamples),
            estimates(gaps, seed=seed, num_resamples=num_resamples),
            votes,
            strict=True,
        )
        if accuracy is not None
    )
    return Curve(name=arm.name, measure=measure.name, points=points)


def majority_curve(
    baseline: Baseline,
    problems: Sequence[str],
    measure: Measure,
    *,
    seed: int,
    num_resamples: int,
) -> MajorityCurve:
    """The curve of majority vote, up to the smallest pool of all problems."""
    pools = [baseline.pools[problem] for problem in problems if problem in baseline.pools]
    most = min((pool.num_samples for pool in pools), default=0)
    sizes = sorted({min(most, round(2 ** (step / 2))) for step in range(2 * most.bit_length() + 1)})
    sizes = [size for size in sizes if size > 0]
    columns = [np.array([pool.at(size) for pool in pools]) for size in sizes]
    values = shares(columns, seed=seed, num_resamples=num_resamples)
    each = float(np.mean([pool.cost_per_sample(measure) for pool in pools])) if pools else 0.0
    return MajorityCurve(
        measure=measure.name,
        sizes=tuple(sizes),
        costs=tuple(size * each for size in sizes),
        accuracy=tuple(value for value in values if value is not None),
    )


def votes_at_cost(
    costs: Column, problems: Sequence[str], baseline: Baseline, measure: Measure
) -> Column:
    """Majority vote on each problem with as many samples as a cost pays for; NaN without pool."""
    votes = np.full(len(problems), np.nan)
    for place, problem in enumerate(problems):
        pool = baseline.pools.get(problem)
        if pool is not None and not np.isnan(costs[place]):
            votes[place] = pool.at(pool.size_for(float(costs[place]), measure))
    return votes


def estimates(columns: Sequence[Column], *, seed: int, num_resamples: int) -> list[Estimate | None]:
    """The mean of each column over the problems where it is known, with a 95 % interval.

    Percentile bootstrap; problems are resampled whole, the same ones for all columns.

    Returns:
        [num_columns], None where nothing is known.
    """
    if not columns:
        return []
    values = np.stack(columns, axis=1)
    known = ~np.isnan(values)
    filled = np.where(known, values, 0.0)
    counts = np.concatenate([filled, known.astype(np.float64)], axis=1)
    sums = resample_sums(counts, seed=seed, num_resamples=num_resamples)
    found: list[Estimate | None] = []
    for place in range(len(columns)):
        if not known[:, place].any():
            found.append(None)
            continue
        with np.errstate(invalid="ignore"):
            means = sums[:, place] / sums[:, len(columns) + place]
        found.append(percentile_interval(float(np.nanmean(values[:, place])), means))
    return found


def shares(columns: Sequence[Column], *, seed: int, num_resamples: int) -> list[Estimate | None]:
    """Like `estimates`, for columns of shares.

    Where each problem is either right or wrong, the interval is that of Wilson.
    """
    found = estimates(columns, seed=seed, num_resamples=num_resamples)
    for place, column in enumerate(columns):
        own = column[~np.isnan(column)]
        if len(own) and np.isin(own, (0.0, 1.0)).all():
            found[place] = wilson(int(own.sum()), len(own))
    return found


def _cell(
    limit: float | None,
    searches: Sequence[Searched],
    ends: Sequence[Result],
    places: Mapping[str, int],
    measure: Measure,
) -> Cell:
    correct: list[list[float]] = [[] for _ in places]
    costs: list[list[float]] = [[] for _ in places]
    has_answer: list[bool] = []
    for searched, end in zip(searches, ends, strict=True):
        if searched.is_failed:
            continue
        place = places[searched.problem]
        costs[place].append(measure.cost(end.spent))
        has_answer.append(end.has_answer)
        if end.is_correct is not None:
            correct[place].append(float(end.is_correct))
    means = _means(costs)
    return Cell(
        limit=limit,
        cost=float(np.nanmean(means)) if has_answer else 0.0,
        correct=_means(correct),
        costs=means,
        share_answered=sum(has_answer) / max(len(has_answer), 1),
    )


def _means(found: Sequence[Sequence[float]]) -> Column:
    return np.array([sum(values) / len(values) if values else np.nan for values in found])


def _votes(
    cell: Cell, problems: Sequence[str], baseline: Baseline | None, measure: Measure
) -> tuple[Column, float]:
    """Majority vote at the cost of a cell, and the share of problems with too small a pool."""
    if baseline is None:
        return np.full(len(problems), np.nan), 0.0
    pairs = [
        (pool, float(cost))
        for problem, cost in zip(problems, cell.costs, strict=True)
        if (pool := baseline.pools.get(problem)) is not None and not np.isnan(cost)
    ]
    short = [pool.size_for(cost, measure) > pool.num_samples for pool, cost in pairs]
    votes = votes_at_cost(cell.costs, problems, baseline, measure)
    return votes, sum(short) / max(len(short), 1)
