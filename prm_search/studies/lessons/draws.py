"""What each problem adds to the numbers of all PRMs, resampled together.

All PRMs are asked about the same solutions, so a difference between two of them is computed on
the same resampled problems: a paired bootstrap, within each level.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from prm_search.aggregation import Aggregation, aggregate
from prm_search.errors import DataError
from prm_search.evaluation.best_of_n import best_at_k
from prm_search.evaluation.first_error import count, f1
from prm_search.evaluation.result import CaseResult
from prm_search.seeds import derive_seed
from prm_search.statistics import NUM_RESAMPLES, Estimate, percentile_interval, resample_sums

Array: TypeAlias = NDArray[np.float64]
Results: TypeAlias = Mapping[str, Sequence[CaseResult]]
"""By source, results on the same solutions."""

_NUM_COUNTS = 5 + len(Aggregation)


@dataclass(frozen=True, kw_only=True, slots=True)
class Draws:
    """Sums over the problems of each level, and over resamples of them."""

    sources: tuple[str, ...]
    sums: Array
    """[num_levels, 1 + num_resamples, num_sources * _NUM_COUNTS]; the first is the data."""
    num_problems: int

    def f1(self, source: str) -> Array:
        """Unweighted mean over the levels of the first-error F1. [1 + num_resamples]"""
        return np.mean(f1(self._of(source)[..., :5]), axis=0)

    def best_of_k(self, source: str, how: Aggregation) -> Array:
        """Share of the problems that best-of-k solves. [1 + num_resamples]"""
        place = 5 + list(Aggregation).index(how)
        return self._of(source)[..., place].sum(axis=0) / self.num_problems

    def _of(self, source: str) -> Array:
        start = self.sources.index(source) * _NUM_COUNTS
        return self.sums[..., start : start + _NUM_COUNTS]


Quantity: TypeAlias = Callable[[Draws], Array]
"""A number of the data, and of each resample."""


def draws(
    results: Results,
    *,
    k: int,
    threshold: float,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
) -> Draws:
    """Resample the problems of all PRMs together.

    Args:
        results: at least one per source, with the truth known.
        k: of best-of-k, at most the samples of each problem.
        threshold: the first step that scores below it is the predicted error.
        seed: of the bootstrap.

    Raises:
        DataError: if the sources were not asked about the same solutions.
    """
    levels: dict[str, list[list[float]]] = {}
    for pools in _problems(results):
        level = pools[0][0].case.subset
        levels.setdefault(level, []).append(
            [value for pool in pools for value in _counts(pool, k, threshold)]
        )
    sums: list[Array] = []
    for level in sorted(levels):
        counts = np.array(levels[level], dtype=np.float64)
        drawn = resample_sums(counts, seed=derive_seed(seed, level), num_resamples=num_resamples)
        sums.append(np.concatenate([counts.sum(axis=0)[None], drawn]))
    return Draws(
        sources=tuple(results),
        sums=np.stack(sums),
        num_problems=sum(map(len, levels.values())),
    )


def estimate(values: Array) -> Estimate | None:
    """The number of the data with its 95 % interval; None if it is not defined.

    Args:
        values: [1 + num_resamples]
    """
    if math.isnan(values[0]):
        return None
    return percentile_interval(float(values[0]), values[1:])


def _problems(results: Results) -> Iterator[list[list[CaseResult]]]:
    """For each problem the results of each source, in the same order of solutions."""
    by_source: list[dict[str, dict[str, CaseResult]]] = []
    for items in results.values():
        problems: dict[str, dict[str, CaseResult]] = {}
        for item in items:
            problems.setdefault(item.case.problem, {})[item.case.id] = item
        by_source.append(problems)
    first, *others = by_source
    if any(
        other.keys() != first.keys()
        or any(other[name].keys() != first[name].keys() for name in first)
        for other in others
    ):
        raise DataError("the PRMs were not asked about the same solutions")
    for name in sorted(first):
        yield [[problems[name][case] for case in sorted(first[name])] for problems in by_source]


def _counts(pool: Sequence[CaseResult], k: int, threshold: float) -> list[float]:
    """[_NUM_COUNTS] of one problem and source."""
    found: list[list[float]] = []
    for item in pool:
        if item.case.truth is None:
            continue
        finding = item.finding(threshold)
        predicted = None if finding is None else finding.first_error
        truth = item.case.truth.first_error
        found.append(count(predicted, truth, has_verdict=finding is not None))
    sums = np.sum(found, axis=0).tolist() if found else [0.0] * 5
    is_right = [item.case.is_right is True for item in pool]
    return [*sums, *(_best_of_k(pool, is_right, k, how) for how in Aggregation)]


def _best_of_k(
    pool: Sequence[CaseResult], is_right: Sequence[bool], k: int, how: Aggregation
) -> float:
    ranks = [
        (item.case.answer is not None, aggregate(item.scores, how))
        if item.scores is not None and item.scores.values
        else None
        for item in pool
    ]
    return best_at_k(ranks, is_right, [k])[0]
