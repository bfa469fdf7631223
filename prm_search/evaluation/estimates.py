"""Statistics of sums over cases, with intervals that resample whole problems."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prm_search.statistics import (
    NUM_RESAMPLES,
    Estimate,
    percentile_interval,
    resample_sums,
    wilson,
)

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Statistic:
    """A number that is computed from sums over cases."""

    compute: Callable[[Array], Array]
    """[..., num_counts] -> [...], NaN where it is not defined."""
    wholes: tuple[int, ...] = ()
    """Columns that it takes shares of: it is no surer than the fewest problems in one of them."""


def by_problem(rows: Iterable[tuple[str, Sequence[float]]]) -> Array:
    """What each problem adds to the sums, in an order that depends on the names alone.

    Args:
        rows: for each case its problem and its [num_counts].

    Returns:
        [num_problems, num_counts]
    """
    problems: dict[str, list[Sequence[float]]] = {}
    for problem, counts in rows:
        problems.setdefault(problem, []).append(counts)
    return np.array([np.sum(problems[name], axis=0) for name in sorted(problems)], dtype=np.float64)


def estimate_all(
    counts: Array,
    statistics: Mapping[str, Statistic],
    *,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
) -> dict[str, Estimate | None]:
    """Each statistic with its 95 % bootstrap interval; None where it is not defined.

    Where no resample differs from the data (every case right, say), the bootstrap knows nothing
    of what was not drawn; the Wilson interval of the number of problems stands in.

    Args:
        counts: [num_problems, num_counts]
        seed: of the bootstrap; all statistics share the resamples.
    """
    if len(counts) == 0:
        return dict.fromkeys(statistics)
    sums = resample_sums(counts, seed=seed, num_resamples=num_resamples)
    return {
        name: with_interval(
            float(item.compute(counts.sum(axis=0))),
            item.compute(sums),
            num_problems=num_problems_in(counts, item.wholes),
        )
        for name, item in statistics.items()
    }


def with_interval(value: float, samples: Array, *, num_problems: int) -> Estimate | None:
    """A share with its 95 % interval from resamples; None if it is not defined.

    Args:
        value: in [0, 1], or NaN.
        samples: [num_resamples], NaN where a resample leaves it undefined.
        num_problems: on which it rests, for when the resamples do not differ.
    """
    if math.isnan(value):
        return None
    known = samples[~np.isnan(samples)]
    if len(known) and np.ptp(known) > 0:
        return percentile_interval(value, known)
    bounds = wilson(round(value * num_problems), num_problems)
    return Estimate(value=value, low=min(value, bounds.low), high=max(value, bounds.high))


def num_problems_in(counts: Array, wholes: Sequence[int]) -> int:
    """The fewest problems in one of these columns, of those that have any; else all problems."""
    sizes = [int((counts[:, column] > 0).sum()) for column in wholes]
    return min((size for size in sizes if size), default=len(counts))
