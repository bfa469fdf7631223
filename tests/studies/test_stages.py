"""The frame of a study: stages done once, in order, with progress and clear failures."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from prm_search.errors import StoreError
from prm_search.studies.page import Section, StudyReport
from prm_search.studies.stage import (
    Launch,
    Stage,
    StageError,
    Stages,
    launch_process,
    times,
)
from prm_search.studies.study import StudyJob, run_study
from tests.studies.processes import Ended


@dataclass(frozen=True, kw_only=True)
class Counting:
    """A study of two stages a seed: one by a command, one here."""

    num_seeds: int = 2

    @property
    def seeds(self) -> Sequence[int]:
        return range(self.num_seeds)

    def stages(self, seed: int, run_dir: Path) -> Sequence[Stage]:
        made, copied = run_dir / f"made-{seed}", run_dir / f"copied-{seed}"
        return [
            Stage(kind="make", name=f"seed {seed} make", output=made, work=["make", str(made)]),
            Stage(
                kind="copy",
                name=f"seed {seed} copy",
                output=copied,
                work=partial(shutil.copy, made, copied),
            ),
        ]

    def report(self, seeds: Sequence[int], run_dir: Path, *, is_quick: bool) -> StudyReport:
        rows = tuple((str(seed), (run_dir / f"copied-{seed}").read_text()) for seed in seeds)
        section = Section(title="Rows", columns=("seed", "text"), rows=rows, text=("Hello.",))
        return StudyReport(
            title="Counts", lead="Two.", sections=(section,), values={"seeds": list(seeds)}
        )


@dataclass(kw_only=True)
class FakeLaunch:
    """Makes what it is asked for, and remembers it; ends with a code where it is told to."""

    codes: dict[str, int] = field(default_factory=dict)
    made: list[str] = field(default_factory=list)

    def __call__(self, arguments: Sequence[str], log: Path, *, num_threads: int | None) -> Ended:
        path = Path(arguments[1])
        self.made.append(path.name)
        log.write_text("starting\nsomething went wrong\n")
        code = self.codes.get(path.name, 0)
        if code == 0:
            path.write_text(f"of {path.name}")
        return Ended(code=code)


def run(
    run_dir: Path, launch: FakeLaunch, num_seeds: int = 2, config: dict[str, object] | None = None
) -> tuple[int, str]:
    output = StringIO()
    job = StudyJob(study=Counting(num_seeds=num_seeds), run_dir=str(run_dir))
    code = run_study(
        job,
        config=config or {"study": {"num_seeds": num_seeds, "size": 1}},
        command="prm-search study …",
        console=Console(file=output, width=100),
        launch=launch,
    )
    return code, output.getvalue()


def test_all_stages_are_done_in_order_and_reported(tmp_path: Path) -> None:
    launch = FakeLaunch()
    code, output = run(tmp_path / "run", launch)
    assert code == 0
    assert launch.made == ["made-0", "made-1"]
    assert json.loads((tmp_path / "run/results.json").read_text()) == {"seeds": [0, 1]}
    page = (tmp_path / "run/report.html").read_text()
    assert "of made-1" in page
    assert "Hello." in page
    assert "[1/4] seed 0 make" in output
    assert "of made-0" in output
    assert [item.kind for item in times(tmp_path / "run")] == ["make", "copy"] * 2


def test_the_time_left_is_told_once_each_kind_is_known(tmp_path: Path) -> None:
    _, output = run(tmp_path, FakeLaunch())
    lines = [line for line in output.splitlines() if line.startswith("[")]
    assert ["left" in line for line in lines] == [False, False, True, True]


def test_a_failed_stage_is_named_with_the_end_of_its_log_and_done_again(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"(?s)seed 1 make ended with code 1.*went wrong"):
        run(tmp_path, FakeLaunch(codes={"made-1": 1}))
    assert json.loads((tmp_path / "results.json").read_text()) == {"seeds": [0]}
    launch = FakeLaunch()
    code, _ = run(tmp_path, launch)
    assert code == 0
    assert launch.made == ["made-1"]
    assert json.loads((tmp_path / "results.json").read_text()) == {"seeds": [0, 1]}


def stages_of(run_dir: Path, stages: Sequence[Stage], launch: Launch) -> Stages:
    return Stages(
        run_dir,
        stages,
        num_parallel=2,
        launch=launch,
        console=Console(file=StringIO(), width=100),
    )


def test_a_stage_that_writes_nothing_failed(tmp_path: Path) -> None:
    stage = Stage(kind="a", name="a", output=tmp_path / "absent", work=["a", "b"])

    def launch(arguments: Sequence[str], log: Path, *, num_threads: int | None) -> Ended:
        log.touch()
        return Ended(code=0)

    with pytest.raises(StageError, match="did not write"):
        stages_of(tmp_path, [stage], launch).run([stage])


def test_parallel_stages_run_two_at_a_time_with_a_share_of_the_cores(tmp_path: Path) -> None:
    alive: list[Ended] = []
    most: list[tuple[int, int | None]] = []

    def launch(arguments: Sequence[str], log: Path, *, num_threads: int | None) -> Ended:
        log.touch()
        Path(arguments[0]).touch()
        alive.append(Ended(code=0))
        most.append((sum(item.num_looks < 2 for item in alive), num_threads))
        return alive[-1]

    stages = [
        Stage(
            kind="train",
            name=str(number),
            output=tmp_path / str(number),
            work=[str(tmp_path / str(number))],
            group="beside" if number else None,
        )
        for number in range(4)
    ]
    assert stages_of(tmp_path, stages, launch).run(stages) == 0
    share = max(1, (os.cpu_count() or 1) // 2)
    assert most == [(1, None), (1, share), (2, share), (1, share)]
    alone, *beside = times(tmp_path)
    assert alone.share == alone.seconds
    assert all(0 <= item.share <= item.seconds for item in beside)
    assert sum(item.share for item in beside) < sum(item.seconds for item in beside)


def test_ctrl_c_is_passed_on_and_ends_the_study_even_if_the_stage_is_finished(
    tmp_path: Path,
) -> None:
    class Interrupting(Ended):
        def poll(self) -> int | None:
            if not self.signals:
                raise KeyboardInterrupt
            return 0

    process = Interrupting(code=0)

    def launch(arguments: Sequence[str], log: Path, *, num_threads: int | None) -> Ended:
        log.touch()
        return process

    stages = [
        Stage(kind="a", name=name, output=tmp_path / name, work=[name]) for name in ("a", "b")
    ]
    (tmp_path / "a").touch()
    assert stages_of(tmp_path, stages, launch).run(stages) == 130
    assert process.signals == [signal.SIGINT]


def test_an_interrupted_study_says_how_to_go_on(tmp_path: Path) -> None:
    class Interrupted(FakeLaunch):
        def __call__(
            self, arguments: Sequence[str], log: Path, *, num_threads: int | None
        ) -> Ended:
            if arguments[1].endswith("made-1"):
                raise KeyboardInterrupt
            return super().__call__(arguments, log, num_threads=num_threads)

    code, output = run(tmp_path, Interrupted())
    assert code == 130
    assert "To go on:\n  prm-search study …" in output


def test_a_finished_study_is_only_reported_again_and_may_grow(tmp_path: Path) -> None:
    run(tmp_path, FakeLaunch())
    launch = FakeLaunch()
    code, _ = run(tmp_path, launch)
    assert (code, launch.made) == (0, [])
    assert run(tmp_path, launch, num_seeds=3)[0] == 0
    assert launch.made == ["made-2"]


def test_a_directory_of_another_study_is_refused(tmp_path: Path) -> None:
    run(tmp_path, FakeLaunch())
    with pytest.raises(StoreError, match=r"another configuration: study\.size: 1 -> 2"):
        run(tmp_path, FakeLaunch(), config={"study": {"num_seeds": 2, "size": 2}})


def test_commands_run_in_processes_of_their_own(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert launch_process(["--version"], log, num_threads=1).wait() == 0
    assert log.read_text().startswith("prm-search")
    assert launch_process(["no-such-command"], log).wait() == 2
