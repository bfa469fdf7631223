"""PRM800K rows (Lightman et al. 2023, arXiv 2305.20050): human ratings of each step.

Each row is one path of steps through candidates ("completions") that a person rated -1, 0 or 1:

    {"question": {"problem", "ground_truth_answer", "pre_generated_steps"},
     "label": {"finish_reason", "steps": [{"completions": [{"text", "rating"}],
                                           "chosen_completion", "human_completion"}]}}
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import cast

from prm_search.data.columns import (
    has,
    optional_flag_of,
    optional_text_of,
    sequence_of,
    text_of,
    texts_of,
    whole_number_of,
)
from prm_search.data.files import Row
from prm_search.data.stepwise import StepwiseRow
from prm_search.errors import DataError


class Neutral(StrEnum):
    """What a step is that was rated 0: not wrong, but no progress either."""

    right = "right"
    wrong = "wrong"


@dataclass(frozen=True, kw_only=True, slots=True)
class _RatedStep:
    text: str
    rating: int | None
    """-1, 0, 1; None if the person gave none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prm800k:
    """How the rows are read."""

    neutral: Neutral = Neutral.right
    """What a step is that was rated 0."""
    alternatives: bool = False
    """Whether each rated candidate beside the path gives a row of its own, after the same steps.
    Most of what phase 1 holds is in them."""
    finish_reasons: tuple[str, ...] = ("found_error", "solution")
    """Rows that ended in another way ("give_up", "bad_problem") are set aside."""

    def from_row(self, row: Row) -> tuple[StepwiseRow, ...]:
        """The labeled solutions in a row: that of the path, then the alternatives.

        Raises:
            DataError: if a column is missing or has a value that it must not have, or the row
                is one that is not to be used.
        """
        for kind in ("is_quality_control_question", "is_initial_screening_question"):
            if optional_flag_of(row, kind):
                raise DataError(f"{kind!r}: the row was there to check its labeler")
        question, label = _object_of(row, "question"), _object_of(row, "label")
        finish_reason = text_of(label, "finish_reason")
        if finish_reason not in self.finish_reasons:
            raise DataError(f"'finish_reason' is {finish_reason!r}")
        path, branches = _walk(sequence_of(label, "steps"))
        rated = [self._solution(question, path), *(self._solution(question, b) for b in branches)]
        if rated[0] is None:
            raise DataError("its first step has no rating")
        written = (
            texts_of(question, "pre_generated_steps")
            if has(question, "pre_generated_steps")
            else ()
        )
        steps = rated[0].steps
        if written[: len(steps)] == steps:  # labeling ended before the solution did
            rest = rated[0].unlabeled_steps + written[len(steps) :]
            rated[0] = replace(rated[0], unlabeled_steps=rest)
        return tuple(item for item in rated[: None if self.alternatives else 1] if item)

    def _solution(self, question: Row, path: Sequence[_RatedStep]) -> StepwiseRow | None:
        """A path as a labeled solution; None if its first step has no rating."""
        ratings = [step.rating for step in path]
        num_rated = ratings.index(None) if None in ratings else len(path)
        if not num_rated:
            return None
        worst_right = 0 if self.neutral is Neutral.right else 1
        texts = tuple(step.text for step in path)
        return StepwiseRow(
            prompt=text_of(question, "problem"),
            completions=texts[:num_rated],
            labels=tuple(
                rating >= worst_right for rating in ratings[:num_rated] if rating is not None
            ),
            label_sources=("human",) * num_rated,
            unlabeled_steps=texts[num_rated:],
            answer=optional_text_of(question, "ground_truth_answer"),
        )


def _walk(items: Sequence[object]) -> tuple[list[_RatedStep], list[list[_RatedStep]]]:
    """The path through the candidates, and the paths to each candidate beside it."""
    path: list[_RatedStep] = []
    branches: list[list[_RatedStep]] = []
    for index, item in enumerate(items):
        step = _object_of({f"steps[{index}]": item}, f"steps[{index}]")
        try:
            candidates = _candidates(step)
            chosen, taken = _taken(step, candidates, is_last=index == len(items) - 1)
        except DataError as error:
            raise DataError(f"steps[{index}]: {error}") from error
        others = [other for place, other in enumerate(candidates) if place != chosen]
        branches += [[*path, other] for other in others if other.rating is not None]
        path.append(taken)
    return path, branches


def _taken(
    step: Row, candidates: Sequence[_RatedStep], *, is_last: bool
) -> tuple[int | None, _RatedStep]:
    """The step that the path takes, with its place if it is one of the candidates."""
    if has(step, "chosen_completion"):
        chosen = whole_number_of(step, "chosen_completion")
        if not 0 <= chosen < len(candidates):
            raise DataError(f"'chosen_completion' is {chosen}, of {len(candidates)} completions")
        return chosen, candidates[chosen]
    if has(step, "human_completion"):
        human = step["human_completion"]
        text = (
            text_of(_object_of(step, "human_completion"), "text")
            if isinstance(human, dict)
            else text_of(step, "human_completion")
        )
        # A person may write a step where all candidates are wrong, and then writes a right one.
        return None, _RatedStep(text=text, rating=1)
    if not is_last or not candidates:
        raise DataError("nothing was chosen, and the solution goes on")
    # Labeling ended here. The first candidate is the step of the solution itself.
    return 0, candidates[0]


def _candidates(step: Row) -> list[_RatedStep]:
    candidates: list[_RatedStep] = []
    # A step that a person wrote may have no candidates at all.
    items = sequence_of(step, "completions") if has(step, "completions") else ()
    for place, item in enumerate(items):
        name = f"completions[{place}]"
        candidate = _object_of({name: item}, name)
        rating = whole_number_of(candidate, "rating") if has(candidate, "rating") else None
        if rating not in (-1, 0, 1, None):
            raise DataError(f"'rating' must be -1, 0 or 1, not {rating}")
        candidates.append(_RatedStep(text=text_of(candidate, "text"), rating=rating))
    return candidates


def _object_of(row: Row, column: str) -> Row:
    value = row.get(column)
    if not isinstance(value, dict):
        raise DataError(f"{column!r} must be an object, not {type(value).__name__}")
    return cast("Row", value)
