"""What an R-PRM would have said with fewer analyses than were recorded.

The first K of the recorded analyses are those that num_samples=K draws, and a rule of when to stop
draws a number of the first ones too. So one recording serves all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from prm_search.errors import DataError
from prm_search.evaluation.case import Case
from prm_search.prms.recorded_analyses import Prefix, RecordedStep
from prm_search.prms.settling import num_missing
from prm_search.types import StepScores


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """How many of the recorded analyses of a step are read."""

    most: int
    """At most so many."""
    confidence: float | None = None
    """None reads all of these. Otherwise as `GenerativePrm.confidence`."""

    @property
    def name(self) -> str:
        """How the report calls it."""
        if self.confidence is None:
            return f"K={self.most}"
        return f"until {self.confidence:g} sure"

    def num_read(self, values: Sequence[float | None], threshold: float) -> int:
        """How many analyses of a step are read.

        Args:
            values: [num_analyses], at least `most` of them; None for one without a verdict.
            threshold: below it, a mean says "wrong".
        """
        return _num_read(self, tuple(values), threshold)


@lru_cache(maxsize=1 << 18)
def _num_read(rule: Rule, values: tuple[float | None, ...], threshold: float) -> int:
    number, read = 0, list[float]()
    while missing := num_missing(
        read, most=rule.most - number, threshold=threshold, confidence=rule.confidence
    ):
        read += [value for value in values[number : number + missing] if value is not None]
        number += missing
    return number


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What was read to judge some solutions. A step that several of them share counts once."""

    num_steps: int
    num_analyses: int
    num_tokens: int
    """That the PRM computed."""


def read_solution(
    case: Case, recorded: Mapping[Prefix, RecordedStep], rule: Rule, threshold: float
) -> StepScores | None:
    """The scores of a solution; None if it has no steps, or one of them no verdict.

    Raises:
        DataError: if a step was not recorded, or has too few analyses.
    """
    values: list[float] = []
    for step in _steps(case, recorded, rule):
        number = rule.num_read(step.values, threshold)
        read = [value for value in step.values[:number] if value is not None]
        if not read:
            return None
        values.append(sum(read) / len(read))
    return StepScores(values=tuple(values)) if values else None


def cost_of(
    cases: Iterable[Case], recorded: Mapping[Prefix, RecordedStep], rule: Rule, threshold: float
) -> Cost:
    """What it takes to judge solutions of a problem.

    Raises:
        DataError: if a step was not recorded, or has too few analyses.
    """
    steps = {step.prefix: step for case in cases for step in _steps(case, recorded, rule)}
    numbers = {prefix: rule.num_read(step.values, threshold) for prefix, step in steps.items()}
    return Cost(
        num_steps=len(steps),
        num_analyses=sum(numbers.values()),
        num_tokens=sum(sum(step.num_tokens[: numbers[prefix]]) for prefix, step in steps.items()),
    )


def _steps(case: Case, recorded: Mapping[Prefix, RecordedStep], rule: Rule) -> list[RecordedStep]:
    texts = tuple(step.content for step in case.trajectory.steps)
    problem = case.trajectory.problem.prompt
    found: list[RecordedStep] = []
    for end in range(1, len(texts) + 1):
        step = recorded.get((problem, texts[:end]))
        if step is None or len(step.values) < rule.most:
            have = "no" if step is None else f"only {len(step.values)}"
            raise DataError(
                f"there are {have} recorded analyses of step {end - 1} of {case.id}. Remove the "
                "evaluation that records them and start the study again"
            )
        found.append(step)
    return found
