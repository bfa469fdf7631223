"""What is evaluated on: solutions, and what is known of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from prm_search.data.loaded import SetAside
from prm_search.grading import GraderSettings
from prm_search.types import Step, StepScores, StopReason, Trajectory


@dataclass(frozen=True, kw_only=True, slots=True)
class Truth:
    """What is true of the steps of a solution."""

    first_error: int | None
    """0-based index of the first wrong step; None if no step is wrong."""
    wrong_steps: tuple[int, ...] | None = None
    """0-based indices of all wrong steps, rising; None if only the first one is known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A solution to be judged."""

    id: str
    """Unique within a benchmark."""
    problem: str
    """What cases of the same problem have in common. They are not independent of each other, so
    intervals resample whole problems."""
    subset: str
    """The part of the benchmark that it belongs to."""
    trajectory: Trajectory
    """May have no steps, if a policy wrote nothing."""
    truth: Truth | None = None
    """None if nothing is known of the steps."""
    answer: str | None = None
    """Its final answer. Equivalent answers of one problem are the same text."""
    is_right: bool | None = None
    """Whether its final answer is right; None if that is not known."""
    scores: StepScores | None = None
    """Scores that it came with."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cases:
    """The cases of a benchmark, and the rows that are not among them."""

    cases: tuple[Case, ...]
    set_aside: tuple[SetAside, ...] = ()


class Benchmark(Protocol):
    """A frozen dataclass whose fields say what is evaluated on."""

    async def load(self, grader: GraderSettings) -> Cases:
        """The cases.

        Args:
            grader: how answers are compared, where the benchmark has to.

        Raises:
            DataError: if there is nothing to load, or no row of it can be used.
        """
        ...


def written_steps(texts: Sequence[str], separator: str = "\n\n") -> tuple[Step, ...]:
    """The steps of a solution that is given as texts. Nothing is joined or dropped."""
    last = len(texts) - 1
    return tuple(
        Step(text=text, stop_reason=StopReason.END)
        if index == last
        else Step(text=text + separator)
        for index, text in enumerate(texts)
    )
