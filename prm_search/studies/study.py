"""What a study is, and how one is run: its stages seed by seed, a report after each seed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rich.console import Console

from prm_search.errors import StoreError
from prm_search.manifest import differences, load_config, write_config, write_manifest
from prm_search.model_settings import require
from prm_search.run_session import INTERRUPTED, OK
from prm_search.studies.page import StudyReport, render, table_of
from prm_search.studies.stage import Launch, Stage, Stages, launch_process, minutes, times

RESULTS = "results.json"
REPORT = "report.html"
MAY_DIFFER = ("run_dir", "num_parallel", "study.num_seeds")
"""Settings that a resumed study may change: what is done stays what it is."""


class Study(Protocol):
    """A frozen dataclass whose fields are the sizes of a study."""

    @property
    def seeds(self) -> Sequence[int]:
        """The repetitions, each with data and trainings of its own."""
        ...

    def stages(self, seed: int, run_dir: Path) -> Sequence[Stage]:
        """What has to be done for a seed, in this order.

        Args:
            run_dir: of the study.
        """
        ...

    def report(self, seeds: Sequence[int], run_dir: Path, *, is_quick: bool) -> StudyReport:
        """What came of it.

        Args:
            seeds: those whose stages are all done, at least one.
            run_dir: of the study.
            is_quick: whether the sizes are those of a try.

        Raises:
            PrmSearchError: if something that the stages wrote cannot be read.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyJob:
    """A study, and where it is written."""

    study: Study
    """The question that is studied: study=NAME."""
    quick: bool = False
    """Whether to take the small sizes, which show that everything works and decide nothing."""
    num_parallel: int = 2
    """Stages that run side by side where they may, such as trainings, each on its share of the
    cores: a small model gains little from a second one."""
    run_dir: str
    """Where everything is written. Giving that of an earlier study resumes it."""

    def __post_init__(self) -> None:
        require(self.num_parallel >= 1, "num_parallel", self.num_parallel, "must be at least 1")


def run_study(
    job: StudyJob,
    *,
    config: Mapping[str, object],
    command: str,
    console: Console,
    launch: Launch = launch_process,
) -> int:
    """Run a study, or go on where its run directory exists.

    Args:
        config: what the job was built from, as plain values; recorded in the run directory.
        command: what starts the same study in the same run directory.
        console: where progress and tables are shown.
        launch: starts the commands that the stages consist of.

    Returns:
        0 if it came to its end, 130 if it was interrupted.

    Raises:
        PrmSearchError: if a stage failed. What is done stays, and the same command goes on.
    """
    run_dir = Path(job.run_dir)
    _open(run_dir, config, command)
    study = job.study
    by_seed = {seed: study.stages(seed, run_dir) for seed in study.seeds}
    stages = [stage for group in by_seed.values() for stage in group]
    runner = Stages(run_dir, stages, num_parallel=job.num_parallel, launch=launch, console=console)
    done: list[int] = []
    report: StudyReport | None = None
    for seed, group in by_seed.items():
        is_new = any(not stage.output.exists() for stage in group)
        if runner.run(group) == INTERRUPTED:
            console.print(
                f"Interrupted; what is done is kept. To go on:\n  {command}",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )
            return INTERRUPTED
        done.append(seed)
        if is_new or seed == study.seeds[-1]:
            report = study.report(done, run_dir, is_quick=job.quick)
            write_report(run_dir, report)
    assert report is not None
    for section in report.sections:
        for text in section.text:
            console.print(text, highlight=False, markup=False)
        if section.rows:
            console.print(table_of(section))
    seconds = sum(item.share for item in times(run_dir))
    console.print(f"All stages together took {minutes(seconds)}.", highlight=False)
    print(f"Report: {run_dir / REPORT}")
    return OK


def write_report(run_dir: Path, report: StudyReport) -> None:
    """Write results.json and report.html, each in the place of an older one.

    Raises:
        StoreError: if they cannot be written.
    """
    results = json.dumps(dict(report.values), indent=2, allow_nan=False) + "\n"
    try:
        for name, text in ((RESULTS, results), (REPORT, render(report))):
            draft = run_dir / f"{name}.draft"
            draft.write_text(text, encoding="utf-8")
            draft.replace(run_dir / name)
    except OSError as error:
        raise StoreError(f"cannot write the report to {run_dir}: {error}") from error


def _open(run_dir: Path, config: Mapping[str, object], command: str) -> None:
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        recorded = load_config(run_dir)
        if recorded is None:
            write_config(run_dir, config)
        elif found := differences(recorded, config, MAY_DIFFER):
            raise StoreError(
                f"{run_dir} holds a study with another configuration: {'; '.join(found)}. Go on "
                "with its own settings, or choose another run_dir"
            )
        write_manifest(run_dir, config, seed=0, command=command)
    except OSError as error:
        raise StoreError(f"run_dir: cannot write to {run_dir}: {error}") from error
