"""First-error accuracy and F1, as ProcessBench defines them (arXiv 2412.06559, section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prm_search.types import StepScores

Counts = NDArray[np.float64]
"""[..., 5] the columns of `count`, for single solutions or summed up."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FirstErrorScore:
    """How well first errors are found. All values are shares in [0, 1]."""

    error_accuracy: float
    """Of the solutions with an error: how often exactly the first one was named."""
    correct_accuracy: float
    """Of the solutions without an error: how often none was named."""
    num_errors: int
    """Solutions with an error."""
    num_correct: int
    """Solutions without an error."""

    @property
    def f1(self) -> float:
        """Harmonic mean of both accuracies; 0 if either is 0."""
        total = self.error_accuracy + self.correct_accuracy
        return 2 * self.error_accuracy * self.correct_accuracy / total if total else 0.0


def predicted_first_error(scores: StepScores, threshold: float = 0.5) -> int | None:
    """0-based index of the first step that scores below the threshold; None if no step does."""
    return next((index for index, value in enumerate(scores.values) if value < threshold), None)


def score_first_errors(
    predictions: Sequence[int | None], truths: Sequence[int | None]
) -> FirstErrorScore:
    """Compare predicted with true first errors.

    Args:
        predictions: [num_solutions] 0-based indices, None for "no error".
        truths: [num_solutions], likewise.

    Raises:
        ValueError: if the lengths differ.
    """
    pairs = list(zip(predictions, truths, strict=True))
    on_errors = [predicted == true for predicted, true in pairs if true is not None]
    on_correct = [predicted is None for predicted, true in pairs if true is None]
    return FirstErrorScore(
        error_accuracy=sum(on_errors) / len(on_errors) if on_errors else 0.0,
        correct_accuracy=sum(on_correct) / len(on_correct) if on_correct else 0.0,
        num_errors=len(on_errors),
        num_correct=len(on_correct),
    )


def count(predicted: int | None, truth: int | None, *, has_verdict: bool = True) -> list[float]:
    """What a solution adds to the sums that every number here is computed from.

    Args:
        predicted: 0-based index, None for "no error". Without a verdict it is not looked at.
        truth: likewise.
        has_verdict: whether anything was said; nothing said is a wrong answer.

    Returns:
        [5] has an error, its place was named, some error was named, has no error, none was named.
    """
    is_named = has_verdict and predicted is not None
    if truth is None:
        return [0.0, 0.0, 0.0, 1.0, float(has_verdict and not is_named)]
    return [1.0, float(is_named and predicted == truth), float(is_named), 0.0, 0.0]


def error_accuracy(sums: Counts) -> NDArray[np.float64]:
    """Of the solutions with an error: how often exactly the first one was named."""
    return share(sums[..., 1], sums[..., 0])


def correct_accuracy(sums: Counts) -> NDArray[np.float64]:
    """Of the solutions without an error: how often none was named."""
    return share(sums[..., 4], sums[..., 3])


def f1(sums: Counts) -> NDArray[np.float64]:
    """Harmonic mean of both accuracies: the F1 of ProcessBench. It is no F1 of a classifier."""
    return harmonic(error_accuracy(sums), correct_accuracy(sums))


def binary_f1(sums: Counts) -> NDArray[np.float64]:
    """F1 of "there is an error", wherever it is. Some papers print it as ProcessBench F1."""
    false_alarms = sums[..., 3] - sums[..., 4]
    return share(2 * sums[..., 2], sums[..., 0] + sums[..., 2] + false_alarms)


def plain_accuracy(sums: Counts) -> NDArray[np.float64]:
    """Share of all solutions that got the right answer. It depends on how many have errors."""
    return share(sums[..., 1] + sums[..., 4], sums[..., 0] + sums[..., 3])


def share(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """The quotient, NaN where there is nothing to take a share of."""
    return np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=np.asarray(whole > 0))


def harmonic(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """The harmonic mean, 0 where both are 0."""
    total = first + second
    return 2 * first * second / np.where(total == 0, 1.0, total)
