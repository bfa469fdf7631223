"""The public benchmarks of step-level judgement, as cases."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from prm_search.data import prmbench, processbench
from prm_search.data.files import SUFFIXES, NumberedRow, read_file
from prm_search.data.hub import read_hub
from prm_search.data.loaded import SetAside
from prm_search.errors import ConfigurationError, DataError
from prm_search.evaluation.case import Case, Cases, Truth, written_steps
from prm_search.grading import GraderSettings
from prm_search.types import Problem, Trajectory


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessBench:
    """ProcessBench: find the first wrong step. Zheng et al., arXiv 2412.06559."""

    path: str | None = None
    """The folder of its files, or one of them; without it they are taken from the Hub. Each file
    is a subset, named after it."""
    subsets: list[str] | None = None
    """Take these subsets alone; null takes all four."""
    limit: int | None = None
    """Take at most so many solutions of each subset, evenly from all of it (those with an error
    come first in the files). The numbers are then not those of the benchmark."""

    def __post_init__(self) -> None:
        _check_limit(self.limit)

    async def load(self, grader: GraderSettings) -> Cases:
        """The cases; see `prm_search.evaluation.case.Benchmark`."""
        return _collect(self._subset(name, rows) for name, rows in self._sources())

    def _sources(self) -> Iterator[tuple[str, Iterator[NumberedRow | SetAside]]]:
        if self.path is None:
            for name in self.subsets or ("gsm8k", "math", "olympiadbench", "omnimath"):
                yield name, read_hub("Qwen/ProcessBench", subset=None, split=name)
            return
        files = {file.stem: file for file in _files(self.path)}
        for name in self.subsets or files:
            if name not in files:
                raise DataError(f"{self.path}: no subset {name!r}; there is {', '.join(files)}")
            yield name, read_file(str(files[name]))

    def _subset(
        self, name: str, rows: Iterator[NumberedRow | SetAside]
    ) -> Iterator[Case | SetAside]:
        for item in _evenly(rows, self.limit):
            if isinstance(item, SetAside):
                yield item
                continue
            number, row = item
            try:
                solution = processbench.from_row(row)
            except DataError as error:
                yield SetAside(file=name, row=number, reason=str(error))
                continue
            case_id = solution.id or f"{name}-{number}"
            yield Case(
                id=case_id,
                problem=solution.prompt,
                subset=name,
                trajectory=_trajectory(case_id, solution.prompt, solution.steps),
                truth=Truth(first_error=solution.first_error),
                is_right=solution.is_answer_correct,
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class PrmBench:
    """PRMBench: find all wrong steps, by kind of error. Song et al., arXiv 2501.03124."""

    path: str
    """The folder of its files, or one of them."""
    limit: int | None = None
    """Take at most so many rows of each file, evenly from all of it. The numbers are then not
    those of the benchmark."""

    def __post_init__(self) -> None:
        _check_limit(self.limit)

    async def load(self, grader: GraderSettings) -> Cases:
        """The cases, duplicates left out; see `prm_search.evaluation.case.Benchmark`."""
        return _collect(self._cases(file) for file in _files(self.path))

    def _cases(self, file: Path) -> Iterator[Case | SetAside]:
        for item in _evenly(read_file(str(file)), self.limit):
            if isinstance(item, SetAside):
                yield item
                continue
            number, row = item
            try:
                solutions = list(prmbench.from_row(row))
            except DataError as error:
                yield SetAside(file=str(file), row=number, reason=str(error))
                continue
            for solution in solutions:
                wrong = solution.wrong_steps
                yield Case(
                    id=solution.id,
                    problem=solution.problem_id,
                    subset=solution.category,
                    trajectory=_trajectory(solution.id, solution.prompt, solution.steps),
                    truth=Truth(first_error=wrong[0] if wrong else None, wrong_steps=wrong),
                )


def _evenly(
    rows: Iterable[NumberedRow | SetAside], limit: int | None
) -> Sequence[NumberedRow | SetAside]:
    """At most so many of the rows, at equal distances."""
    found = list(rows)
    if limit is None or limit >= len(found):
        return found
    return [found[place * len(found) // limit] for place in range(limit)]


def _trajectory(case_id: str, prompt: str, steps: tuple[str, ...]) -> Trajectory:
    return Trajectory(problem=Problem(id=case_id, prompt=prompt), steps=written_steps(steps))


def _collect(sources: Iterator[Iterator[Case | SetAside]]) -> Cases:
    """All cases; of cases with the same id the first one."""
    cases: dict[str, Case] = {}
    set_aside: list[SetAside] = []
    for source in sources:
        for place, item in enumerate(source, start=1):
            if isinstance(item, SetAside):
                set_aside.append(item)
            elif item.id in cases:
                reason = f"the id {item.id!r} was already used"
                set_aside.append(SetAside(file=item.subset, row=place, reason=reason))
            else:
                cases[item.id] = item
    if not cases:
        raise DataError(
            f"none of {len(set_aside)} rows can be used; the first: {set_aside[0]}"
            if set_aside
            else "the benchmark has no rows"
        )
    return Cases(cases=tuple(cases.values()), set_aside=tuple(set_aside))


def _files(path: str) -> list[Path]:
    folder = Path(path).expanduser()
    if not folder.is_dir():
        return [folder]  # reading it says what is wrong, if something is
    files = sorted(file for file in folder.iterdir() if file.suffix in SUFFIXES)
    if not files:
        raise DataError(f"{folder} holds no file of the kinds {', '.join(SUFFIXES)}")
    return files


def _check_limit(limit: int | None) -> None:
    if limit is not None and limit < 1:
        raise ConfigurationError(f"benchmark.limit must be at least 1, not {limit}")
