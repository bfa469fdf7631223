"""Labeled solutions, by problem, and which of their steps are analysed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, replace
from typing import TypeAlias

from prm_search.data.stepwise import StepwiseRow
from prm_search.errors import DataError
from prm_search.seeds import derive_seed

_Place: TypeAlias = tuple[str, int, int]
"""Id of the problem, 0-based number of its solution, 0-based index of the step."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LabeledStep:
    """A step that is analysed."""

    index: int
    """0-based, in its solution."""
    is_right: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class LabeledSolution:
    """A solution, and those of its steps that are analysed."""

    steps: tuple[str, ...]
    """All steps, with a label or without."""
    labeled: tuple[LabeledStep, ...]
    """In the order of the solution."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LabeledProblem:
    """A problem with its labeled solutions."""

    id: str
    prompt: str
    solutions: tuple[LabeledSolution, ...]

    @property
    def num_steps(self) -> int:
        """Steps that are analysed."""
        return sum(len(solution.labeled) for solution in self.solutions)


def group_by_problem(
    solutions: Iterable[tuple[StepwiseRow, Sequence[float | None]]],
) -> tuple[LabeledProblem, ...]:
    """Problems with their solutions, both in the order in which they first appear.

    Args:
        solutions: with the labels of their first steps: above 0 for a right step, 0 for a wrong
            one, None for a step whose label is not used. A problem without an id is known by its
            text. Solutions without a label are left out.
    """
    problems: dict[str, LabeledProblem] = {}
    for row, values in solutions:
        labeled = tuple(
            LabeledStep(index=index, is_right=value > 0)
            for index, value in enumerate(values)
            if value is not None
        )
        if not labeled:
            continue
        key = row.problem_id or f"problem-{_digest(row.prompt)}"
        problem = problems.get(key) or LabeledProblem(id=key, prompt=row.prompt, solutions=())
        if problem.prompt != row.prompt:
            raise DataError(f"two different problems have the problem_id {key!r}")
        solution = LabeledSolution(steps=row.steps, labeled=labeled)
        problems[key] = replace(problem, solutions=(*problem.solutions, solution))
    return tuple(problems.values())


def choose_steps(
    problems: Sequence[LabeledProblem], *, right_steps_per_wrong: float | None, seed: int
) -> tuple[LabeledProblem, ...]:
    """All wrong steps, and some of the right ones; problems without any are left out.

    Raises:
        DataError: if no step is labeled, or none of them is labeled wrong, or right.
    """
    steps = _places(problems)
    if not steps:
        raise DataError("no step has a label, so there is nothing to learn from")
    wrong = [place for place, is_right in steps if not is_right]
    right = [place for place, is_right in steps if is_right]
    if not wrong or not right:
        kind = "right" if wrong else "wrong"
        raise DataError(
            f"all {len(steps)} labeled steps are labeled {'wrong' if wrong else 'right'}; both "
            f"kinds are needed. Add solutions with {kind} steps"
        )
    if right_steps_per_wrong is not None:
        right.sort(key=lambda place: derive_seed(seed, "steps", *place))
        right = right[: max(1, round(right_steps_per_wrong * len(wrong)))]
    return _thinned(problems, {*wrong, *right})


def draw_steps(
    problems: Sequence[LabeledProblem], max_steps: int | None, seed: int
) -> tuple[LabeledProblem, ...]:
    """At most so many of the steps, drawn at random; problems without any are left out.

    Args:
        problems: with the steps to draw from.
        max_steps: at least 1; None takes all.
        seed: decides which.
    """
    places = sorted(
        (place for place, _ in _places(problems)),
        key=lambda place: derive_seed(seed, "draw", *place),
    )
    return _thinned(problems, set(places[:max_steps]))


def is_for_validation(problem_id: str, share: float, seed: int) -> bool:
    """Whether a problem is measured on rather than learned from.

    It depends on the problem alone, not on which others there are.
    """
    return derive_seed(seed, "validation", problem_id) < share * 2**31


def _places(problems: Sequence[LabeledProblem]) -> list[tuple[_Place, bool]]:
    """All steps, and whether they are right."""
    return [
        ((problem.id, number, step.index), step.is_right)
        for problem in problems
        for number, solution in enumerate(problem.solutions)
        for step in solution.labeled
    ]


def _thinned(problems: Sequence[LabeledProblem], chosen: Set[_Place]) -> tuple[LabeledProblem, ...]:
    """The same problems with the chosen steps alone, without those that have none."""
    thinned = [
        replace(
            problem,
            solutions=tuple(
                replace(
                    solution,
                    labeled=tuple(
                        step
                        for step in solution.labeled
                        if (problem.id, number, step.index) in chosen
                    ),
                )
                for number, solution in enumerate(problem.solutions)
            ),
        )
        for problem in problems
    ]
    return tuple(
        replace(problem, solutions=tuple(item for item in problem.solutions if item.labeled))
        for problem in thinned
        if problem.num_steps
    )


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
