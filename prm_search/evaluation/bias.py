"""What best-of-N does not show: right answers with flawed steps, and scores that judge the end.

Source: arXiv 2501.07301, section 3.2: a policy reaches right answers by wrong steps; a PRM that
lets them pass looks good in best-of-N, and so does one whose lowest score lies on the last step,
which has turned from a judge of steps into a judge of answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from prm_search.evaluation.estimates import Statistic, by_problem, estimate_all
from prm_search.evaluation.first_error import share
from prm_search.evaluation.result import CaseResult
from prm_search.seeds import derive_seed
from prm_search.statistics import NUM_RESAMPLES, Estimate

ALL = "all"
RULE = (
    "right_but_flawed: share of the solutions with a right answer that have a wrong step. Of "
    "these, noticed: some step is named as wrong; located: exactly the first wrong one is. "
    "A solution without a verdict is neither. minimum_on_last_step: share of the scored solutions "
    "of two steps or more whose last step scores lower than every other."
)

STATISTICS = {
    "right_but_flawed": Statistic(
        compute=lambda sums: share(sums[..., 1], sums[..., 0]), wholes=(0,)
    ),
    "noticed": Statistic(compute=lambda sums: share(sums[..., 2], sums[..., 1]), wholes=(1,)),
    "located": Statistic(compute=lambda sums: share(sums[..., 3], sums[..., 1]), wholes=(1,)),
    "minimum_on_last_step": Statistic(
        compute=lambda sums: share(sums[..., 5], sums[..., 4]), wholes=(4,)
    ),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class BiasScore:
    """The biases in one subset, or in all. All estimates are shares in [0, 1]."""

    name: str
    num_right: int
    """Solutions with a right answer, and a truth about their steps."""
    num_right_but_flawed: int
    right_but_flawed: Estimate | None
    noticed: Estimate | None
    located: Estimate | None
    minimum_on_last_step: Estimate | None
    """None for a judge, which gives no scores."""


def bias_report(
    results: Sequence[CaseResult],
    *,
    threshold: float,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
) -> tuple[BiasScore, ...]:
    """The biases by subset and, last, over all; empty if nothing is known to judge them by.

    Args:
        threshold: the first step that scores below it is the predicted error.
        seed: of the bootstrap.
    """
    groups: dict[str, list[CaseResult]] = {}
    for result in results:
        if result.case.truth is not None and result.case.is_right is not None:
            groups.setdefault(result.case.subset, []).append(result)
    if not groups:
        return ()
    named = {name: groups[name] for name in sorted(groups)}
    if len(named) > 1:
        named[ALL] = [result for group in groups.values() for result in group]
    scores: list[BiasScore] = []
    for name, group in named.items():
        counts = by_problem((item.case.problem, _count(item, threshold)) for item in group)
        sums = counts.sum(axis=0)
        scores.append(
            BiasScore(
                name=name,
                num_right=int(sums[0]),
                num_right_but_flawed=int(sums[1]),
                **estimate_all(
                    counts, STATISTICS, seed=derive_seed(seed, name), num_resamples=num_resamples
                ),
            )
        )
    return tuple(scores)


def is_minimum_on_last_step(values: Sequence[float]) -> bool:
    """Whether the last of at least two steps scores lower than every other."""
    return bool(values[-1] < np.min(values[:-1]))


def _count(result: CaseResult, threshold: float) -> list[float]:
    """Right, of these flawed, of these noticed and located; of two scored steps, lowest last."""
    truth = result.case.truth
    assert truth is not None
    finding = result.finding(threshold)
    is_flawed = bool(result.case.is_right and truth.first_error is not None)
    is_noticed = is_flawed and finding is not None and finding.first_error is not None
    is_located = is_flawed and finding is not None and finding.first_error == truth.first_error
    values = () if result.scores is None else result.scores.values
    has_two = len(values) > 1
    flags = (
        result.case.is_right,
        is_flawed,
        is_noticed,
        is_located,
        has_two,
        has_two and is_minimum_on_last_step(values),
    )
    return [float(bool(flag)) for flag in flags]
