"""What the stages of a seed have written: samples, scores, analyses, searches."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from prm_search.budget import Role
from prm_search.errors import DataError
from prm_search.evaluation.case import Case
from prm_search.evaluation.records import read_results
from prm_search.evaluation.result import CaseResult
from prm_search.evaluation.samples import Samples
from prm_search.grading import GraderSettings
from prm_search.prms.recorded_analyses import Prefix, RecordedStep, read_recorded_steps
from prm_search.reporting.run import read_run

HEAD, SFT, DPO = "discriminative", "rprm_sft", "rprm_dpo"
PRMS = (HEAD, SFT, DPO)
RPRMS = (SFT, DPO)
ANALYSES = "analyses.jsonl"
"""The recorded analyses, in the directory of an evaluation."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Guided:
    """A guided search for the solution of a problem."""

    is_right: bool
    num_tokens: int
    """That the policy wrote and the PRM computed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProblemData:
    """A problem, samples of solutions, and what the PRMs made of them."""

    id: str
    level: str
    cases: tuple[Case, ...]
    """All samples."""
    by_head: tuple[CaseResult, ...]
    """Of the discriminative PRM, for all samples."""
    guided: Mapping[str, Guided]
    """By PRM."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SeedData:
    """The test problems of a seed."""

    problems: tuple[ProblemData, ...]
    recorded: Mapping[str, Mapping[Prefix, RecordedStep]]
    """By R-PRM, the analyses of the first samples of each problem."""


def read_seed(folder: Path) -> SeedData:
    """Read what the stages of a seed have written.

    Raises:
        DataError: if something is not finished, or does not belong together.
    """
    samples = Samples(run_dir=str(folder / "samples"), needs_truth=True)
    cases: dict[str, list[Case]] = {}
    for case in asyncio.run(samples.load(GraderSettings())).cases:
        cases.setdefault(case.problem, []).append(case)
    by_case = {item.case.id: item for item in _results(folder / "evaluations" / HEAD)}
    guided = {name: _guided(folder / "searches" / name) for name in PRMS}
    is_whole = all(case.id in by_case for pool in cases.values() for case in pool) and all(
        searches.keys() >= cases.keys() for searches in guided.values()
    )
    if not is_whole:
        raise DataError(f"{folder}: not all PRMs were asked about the same problems")
    return SeedData(
        problems=tuple(
            ProblemData(
                id=name,
                level=pool[0].subset,
                cases=tuple(pool),
                by_head=tuple(by_case[case.id] for case in pool),
                guided={prm: searches[name] for prm, searches in guided.items()},
            )
            for name, pool in cases.items()
        ),
        recorded={
            name: read_recorded_steps(folder / "evaluations" / name / ANALYSES) for name in RPRMS
        },
    )


def _results(folder: Path) -> Sequence[CaseResult]:
    read = read_results(folder)
    if not read.is_finished:
        raise DataError(
            f"{folder} is not finished: an engine failed on {read.num_left} solutions. Remove it "
            "and start the study again"
        )
    return read.results


def _guided(folder: Path) -> Mapping[str, Guided]:
    run = read_run(folder)
    if not run.is_finished:
        raise DataError(f"{folder} is not finished. Remove it and start the study again")
    return {
        item.problem: Guided(
            is_right=item.is_correct is True,
            num_tokens=item.spent(Role.POLICY).generated_tokens
            + item.spent(Role.PRM).scored_tokens,
        )
        for item in run.outcomes
    }
