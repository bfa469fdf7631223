"""How true the labels of each source are: against the oracle, on the responses themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from prm_search.evaluation.estimates import Statistic, by_problem, estimate_all
from prm_search.evaluation.first_error import (
    correct_accuracy,
    count,
    error_accuracy,
    f1,
    share,
)
from prm_search.statistics import Estimate
from prm_search.studies.lessons.recorded import RecordedResponse
from prm_search.studies.lessons.sources import LabelSource, true_labels

_STATISTICS = {
    "error_accuracy": Statistic(compute=error_accuracy, wholes=(0,)),
    "correct_accuracy": Statistic(compute=correct_accuracy, wholes=(3,)),
    "f1": Statistic(compute=f1, wholes=(0, 3)),
    "retention": Statistic(compute=lambda sums: share(sums[..., 6], sums[..., 5]), wholes=(5,)),
    "soundness": Statistic(compute=lambda sums: share(sums[..., 8], sums[..., 7]), wholes=(7,)),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelQuality:
    """How true the labels of a source are. All estimates are shares in [0, 1]."""

    source: str
    num_responses: int
    """That the source could keep."""
    num_kept: int
    num_errors: int
    """Kept responses that really have a wrong step."""
    error_accuracy: Estimate | None
    """Of those: how often the labels put the first error where it is."""
    correct_accuracy: Estimate | None
    """Of the kept responses without an error: how often the labels have none."""
    f1: Estimate | None
    """Harmonic mean of both accuracies."""
    retention: Estimate | None
    """Share of the responses that is kept."""
    soundness: Estimate | None
    """Of the kept responses labeled without an error: how many really have none."""


def label_quality(
    source: LabelSource, responses: Sequence[RecordedResponse], *, seed: int = 0
) -> LabelQuality:
    """Compare the labels of a source with the truth.

    Args:
        source: of the labels.
        responses: at least one.
        seed: of the bootstrap over problems.
    """
    counts = by_problem((item.problem_id, _count(source, item)) for item in responses)
    sums = np.sum(counts, axis=0)
    return LabelQuality(
        source=source.name,
        num_responses=int(sums[5]),
        num_kept=int(sums[6]),
        num_errors=int(sums[0]),
        **estimate_all(counts, _STATISTICS, seed=seed),
    )


def _count(source: LabelSource, response: RecordedResponse) -> list[float]:
    """[9] the counts of first errors; is one, is kept, is kept as right, is so and is right."""
    annotation = source.annotate(response)
    truth = true_labels(response).first_error
    if annotation.rejection is not None:
        return [0.0] * 5 + [1.0, 0.0, 0.0, 0.0]
    is_called_right = annotation.first_error is None
    return [
        *count(annotation.first_error, truth),
        1.0,
        1.0,
        float(is_called_right),
        float(is_called_right and truth is None),
    ]
