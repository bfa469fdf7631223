"""From a first error to a label for each step."""

from __future__ import annotations

from collections.abc import Sequence

from prm_search.types import StepLabel


def step_labels(
    num_steps: int,
    first_error: int | None,
    *,
    source: str,
    num_rollouts: Sequence[int] | None = None,
) -> tuple[StepLabel, ...]:
    """Hard labels: 1 before the first error, 0 at it, none after it. [num_steps]

    Args:
        num_steps: at least 1.
        first_error: 0-based index; None labels every step 1.
        source: who says so.
        num_rollouts: [num_steps] how many each step has cost; None means that none was drawn.
    """
    end = num_steps if first_error is None else first_error
    values = [1.0] * end + [0.0] + [None] * num_steps
    return _labels(values[:num_steps], source, num_rollouts)


def no_labels(
    num_steps: int, *, source: str, num_rollouts: Sequence[int] | None = None
) -> tuple[StepLabel, ...]:
    """The labels of a response that is set aside: none for each step. [num_steps]"""
    return _labels([None] * num_steps, source, num_rollouts)


def _labels(
    values: Sequence[float | None], source: str, num_rollouts: Sequence[int] | None
) -> tuple[StepLabel, ...]:
    counts = [0] * len(values) if num_rollouts is None else num_rollouts
    return tuple(
        StepLabel(value=value, source=source, num_rollouts=count)
        for value, count in zip(values, counts, strict=True)
    )
