"""What a comparison reads of each search of a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from prm_search.aggregation import aggregate
from prm_search.budget import Ledger
from prm_search.course import Course, Limit, Spending
from prm_search.reporting.run import Json, Outcome, Run
from prm_search.types import StepScores


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """A candidate of a search."""

    answer: str | None
    group: int | None
    """Candidates of a search that give the same answer have the same; None without an answer."""
    is_correct: bool | None
    num_tokens: int
    score: float | None
    """By the aggregation of the search; None where there is none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """How a search ended, or would have ended under a limit."""

    is_correct: bool | None
    """None if it is not known: the search failed, or the answer cannot be graded."""
    has_answer: bool
    """Whether it chose a solution."""
    spent: Spending
    is_cut: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Searched:
    """A search for the solution of one problem."""

    problem: str
    seed: int
    prompt: str
    level: str | None
    has_reference: bool
    """Whether the right answer is known."""
    is_failed: bool
    result: Result
    samples: tuple[Sample, ...]
    course: Course | None
    """None in runs that did not record it, and where the search failed."""

    @property
    def key(self) -> tuple[str, int]:
        """Problem and seed."""
        return self.problem, self.seed

    def under(self, limits: Sequence[Limit]) -> list[Result]:
        """How it would have ended under each limit; as it did, where that is not known."""
        if self.course is None:
            return [self.result] * len(limits)
        cuts = self.course.cuts(
            limits,
            groups=[sample.group for sample in self.samples],
            scores=[sample.score for sample in self.samples],
        )
        found: list[Result] = []
        for cut in cuts:
            if not cut.is_cut:
                found.append(self.result)
                continue
            # Without a solution an answer is wrong; if none could be chosen, nothing is known.
            is_correct = None if cut.num_ended or not self.has_reference else False
            if cut.best is not None:
                is_correct = self.samples[cut.best].is_correct
            found.append(
                Result(
                    is_correct=is_correct,
                    has_answer=cut.best is not None,
                    spent=cut.spent,
                    is_cut=True,
                )
            )
        return found


def read_searches(run: Run, method: str) -> Iterator[Searched]:
    """The searches of a method of a run.

    Raises:
        DataError: if the course of a search cannot be read.
    """
    for outcome in run.of(method):
        yield _searched(outcome, run.record(outcome))


def _searched(outcome: Outcome, record: Json) -> Searched:
    course = None if record.get("course") is None else Course.from_json(record["course"])
    spent = Spending.of(
        Ledger(usages=outcome.usages, num_generations=record.get("num_generations", 0))
    )
    return Searched(
        problem=outcome.problem,
        seed=outcome.seed,
        prompt=outcome.prompt,
        level=outcome.level,
        has_reference=outcome.reference is not None,
        is_failed=outcome.error is not None,
        result=Result(
            is_correct=outcome.is_correct,
            has_answer=outcome.answer is not None,
            spent=spent,
            is_cut=False,
        ),
        samples=tuple(_sample(row, course) for row in record["candidates"]),
        course=course,
    )


def _sample(row: Json, course: Course | None) -> Sample:
    scores = row["scores"]
    score = None
    if course is not None and scores:
        score = aggregate(StepScores(values=tuple(scores)), course.aggregation)
    return Sample(
        answer=row["answer"],
        group=row.get("group"),
        is_correct=row["is_correct"],
        num_tokens=row["num_tokens"],
        score=score,
    )
