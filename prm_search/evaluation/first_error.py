"""First-error accuracy and F1, as ProcessBench defines them (arXiv 2412.06559, section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prm_search.types import StepScores


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
