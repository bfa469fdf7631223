"""First errors by subset, and the mean of the subsets' F1: the numbers of ProcessBench.

Source: ProcessBench, arXiv 2412.06559, section 3. The headline number is the *unweighted* mean of
the F1 of the subsets, where F1 is the harmonic mean of the accuracy on solutions with an error
(exactly the first one is named) and on those without (none is named).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from prm_search.evaluation.estimates import (
    Array,
    Statistic,
    by_problem,
    estimate_all,
    num_problems_in,
    with_interval,
)
from prm_search.evaluation.first_error import (
    binary_f1,
    correct_accuracy,
    count,
    error_accuracy,
    f1,
    plain_accuracy,
)
from prm_search.evaluation.result import CaseResult
from prm_search.seeds import derive_seed
from prm_search.statistics import NUM_RESAMPLES, Estimate, resample_sums

RULE = (
    "error_accuracy: exactly the first error is named, over the solutions with an error. "
    "correct_accuracy: no error is named, over those without one. f1: their harmonic mean. "
    "mean_f1: unweighted mean over the subsets. binary_f1 (is there an error, wherever it is) and "
    "plain_accuracy (share of right answers) are other numbers, not to be quoted as ProcessBench "
    "F1. A solution without a verdict (critique unreadable, or not to be scored) counts as a "
    "wrong answer and is reported beside."
)
STATISTICS = {
    "error_accuracy": Statistic(compute=error_accuracy, wholes=(0,)),
    "correct_accuracy": Statistic(compute=correct_accuracy, wholes=(3,)),
    "f1": Statistic(compute=f1, wholes=(0, 3)),
    "binary_f1": Statistic(compute=binary_f1, wholes=(0, 3)),
    "plain_accuracy": Statistic(compute=plain_accuracy),
}
THRESHOLDS = tuple(index / 8 for index in range(8))
"""The thresholds of the sweep in arXiv 2501.07301."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SubsetScore:
    """How well first errors are found in one subset. All estimates are shares in [0, 1]."""

    name: str
    num_errors: int
    """Solutions with an error."""
    num_correct: int
    """Solutions without an error."""
    num_without_verdict: int
    """Of both: those about which nothing was said. They count as wrong answers."""
    error_accuracy: Estimate | None
    correct_accuracy: Estimate | None
    f1: Estimate | None
    binary_f1: Estimate | None
    plain_accuracy: Estimate | None


@dataclass(frozen=True, kw_only=True, slots=True)
class FirstErrorReport:
    """How well first errors are found, by subset."""

    subsets: tuple[SubsetScore, ...]
    mean_f1: Estimate | None
    """Unweighted mean of the subsets' F1; None if one of them has none."""


def first_error_report(
    results: Sequence[CaseResult],
    *,
    threshold: float,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
) -> FirstErrorReport | None:
    """Evaluate all results whose first error is known; None if there are none.

    Args:
        threshold: the first step that scores below it is the predicted error. Verdicts of a
            judge have no use for it.
        seed: of the bootstrap.
    """
    subsets = {name: _counts(group, threshold) for name, group in _by_subset(results).items()}
    if not subsets:
        return None
    scores = tuple(
        _score(name, counts, group, threshold, derive_seed(seed, name), num_resamples)
        for (name, counts), group in zip(subsets.items(), _by_subset(results).values(), strict=True)
    )
    values = [float(f1(counts.sum(axis=0))) for counts in subsets.values()]
    samples = [
        f1(resample_sums(counts, seed=derive_seed(seed, name), num_resamples=num_resamples))
        for name, counts in subsets.items()
    ]
    return FirstErrorReport(
        subsets=scores,
        mean_f1=with_interval(
            float(np.mean(values)),
            np.mean(samples, axis=0),
            num_problems=min(num_problems_in(counts, (0, 3)) for counts in subsets.values()),
        ),
    )


def f1_by_threshold(
    results: Sequence[CaseResult], thresholds: Sequence[float] = THRESHOLDS
) -> list[float | None]:
    """Mean of the subsets' F1 for each threshold. [num_thresholds]

    A threshold that is chosen by looking at these numbers is tuned on the test data.
    """
    subsets = _by_subset(results).values()
    means = [
        float(np.mean([f1(_counts(group, value).sum(axis=0)) for group in subsets]))
        if subsets
        else float("nan")
        for value in thresholds
    ]
    return [None if np.isnan(mean) else mean for mean in means]


def _by_subset(results: Sequence[CaseResult]) -> dict[str, list[CaseResult]]:
    subsets: dict[str, list[CaseResult]] = {}
    for result in results:
        if result.case.truth is not None:
            subsets.setdefault(result.case.subset, []).append(result)
    return {name: subsets[name] for name in sorted(subsets)}


def _counts(results: Sequence[CaseResult], threshold: float) -> Array:
    return by_problem((item.case.problem, _count(item, threshold)) for item in results)


def _count(result: CaseResult, threshold: float) -> list[float]:
    assert result.case.truth is not None
    finding = result.finding(threshold)
    return count(
        None if finding is None else finding.first_error,
        result.case.truth.first_error,
        has_verdict=finding is not None,
    )


def _score(
    name: str,
    counts: Array,
    results: Sequence[CaseResult],
    threshold: float,
    seed: int,
    num_resamples: int,
) -> SubsetScore:
    sums = counts.sum(axis=0)
    found = estimate_all(counts, STATISTICS, seed=seed, num_resamples=num_resamples)
    return SubsetScore(
        name=name,
        num_errors=int(sums[0]),
        num_correct=int(sums[3]),
        num_without_verdict=sum(item.finding(threshold) is None for item in results),
        **found,
    )
