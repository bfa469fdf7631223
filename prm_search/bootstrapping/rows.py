"""From analyses to what is learned: rows for SFT, pairs for DPO."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from prm_search.bootstrapping.analyst import AnalysedProblem, Outcome
from prm_search.bootstrapping.bootstrap_totals import BootstrapTotals
from prm_search.bootstrapping.labeled_steps import is_for_validation
from prm_search.bootstrapping.settings import Preferences
from prm_search.errors import DataError
from prm_search.prms.generative import GenerativeFamily
from prm_search.seeds import derive_seed


@dataclass(frozen=True, kw_only=True, slots=True)
class AnalysisRow:
    """A message and the analysis to learn. `prompt` and `completion` are TRL's columns."""

    problem: str
    """Id of the problem."""
    solution: int
    """0-based number of the problem's solution."""
    step: int
    """0-based."""
    is_right: bool
    """The label of the step."""
    prompt: str
    completion: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PairRow:
    """A message and two analyses. `prompt`, `chosen` and `rejected` are TRL's columns."""

    problem: str
    """Id of the problem."""
    solution: int
    """0-based number of the problem's solution."""
    step: int
    """0-based."""
    is_right: bool
    """The label of the step."""
    prompt: str
    chosen: str
    """Its verdict agrees with the label."""
    rejected: str
    """Its verdict does not."""


class LabeledRow(Protocol):
    """A row about a step of a problem."""

    @property
    def problem(self) -> str:
        """Id of the problem."""
        ...

    @property
    def is_right(self) -> bool:
        """The label of the step."""
        ...


RowT = TypeVar("RowT", bound=LabeledRow)


def analysis_rows(
    problems: Iterable[AnalysedProblem], family: GenerativeFamily
) -> Iterator[AnalysisRow]:
    """For each step the first analysis that agrees with its label, if there is one."""
    for item in problems:
        for number, (solution, analysed) in enumerate(
            zip(item.problem.solutions, item.steps, strict=True)
        ):
            for step in analysed:
                agreeing = step.texts(Outcome.agrees)
                if agreeing:
                    index = step.step.index
                    yield AnalysisRow(
                        problem=item.problem.id,
                        solution=number,
                        step=index,
                        is_right=step.step.is_right,
                        prompt=family.message(item.problem.prompt, solution.steps[: index + 1]),
                        completion=agreeing[0],
                    )


def pair_rows(
    problems: Iterable[AnalysedProblem], family: GenerativeFamily, preferences: Preferences
) -> Iterator[PairRow]:
    """Analyses that agree with the label of their step, each beside one that does not.

    No analysis of a step stands in two pairs, and no two pairs of a step are the same.
    """
    for item in problems:
        for number, (solution, analysed) in enumerate(
            zip(item.problem.solutions, item.steps, strict=True)
        ):
            for step in analysed:
                chosen, rejected = step.texts(Outcome.agrees), step.texts(Outcome.disagrees)
                if len(chosen) <= preferences.min_agreement * len(step.analyses):
                    continue
                pairs = dict.fromkeys(zip(chosen, rejected, strict=False))
                index = step.step.index
                for better, worse in list(pairs)[: preferences.max_pairs_per_step]:
                    yield PairRow(
                        problem=item.problem.id,
                        solution=number,
                        step=index,
                        is_right=step.step.is_right,
                        prompt=family.message(item.problem.prompt, solution.steps[: index + 1]),
                        chosen=better,
                        rejected=worse,
                    )


def split_by_problem(
    rows: Sequence[RowT], share: float, seed: int
) -> tuple[list[RowT], list[RowT]]:
    """Rows to learn from and rows to measure on, which are of other problems.

    Args:
        share: of the problems that is measured on, in [0, 1).
    """
    train: list[RowT] = []
    validation: list[RowT] = []
    for row in rows:
        (validation if is_for_validation(row.problem, share, seed) else train).append(row)
    return train, validation


def balanced(rows: Sequence[RowT], seed: int) -> list[RowT]:
    """As many rows of right as of wrong steps, in the order given; some of the larger class go."""
    by_class = {
        is_right: [index for index, row in enumerate(rows) if row.is_right is is_right]
        for is_right in (True, False)
    }
    count = min(map(len, by_class.values()))
    kept = {
        index
        for indices in by_class.values()
        for index in sorted(indices, key=lambda index: derive_seed(seed, "balance", index))[:count]
    }
    return [row for index, row in enumerate(rows) if index in kept]


def require_both_classes(rows: Sequence[LabeledRow], what: str, totals: BootstrapTotals) -> None:
    """Refuse to learn from nothing, or from steps of one kind alone.

    Args:
        what: the rows are: "analysis", "pair of analyses".
        totals: of what the rows were taken from, for the message.

    Raises:
        DataError: saying what came of the analyses instead.
    """
    num_right = sum(row.is_right for row in rows)
    if num_right and num_right < len(rows):
        return
    kind = "wrong" if num_right else ("right" if rows else "any")
    raise DataError(
        f"there is no {what} of {kind} steps to learn from. Of {totals.num_steps:,} steps the "
        f"analyses were: {totals.describe_outcomes() or 'none'}. Look at them in the run "
        "directory; a model or a template that suits each other, a longer max_tokens or more "
        "labeled steps may be needed"
    )


def write_rows(path: Path, rows: Sequence[AnalysisRow] | Sequence[PairRow]) -> None:
    """Write rows as JSON Lines, in one step."""
    draft = path.with_name(f"{path.name}.draft")
    draft.write_text("".join(json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in rows))
    draft.replace(path)
