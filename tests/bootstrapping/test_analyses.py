"""Analyses by a teacher: which are kept, and that a run which is gone on with is the same."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from actors.inprocess import InProcessCluster
from prm_search.bootstrapping.analysis_source import Analysis, AnalysisSource, StepAnalyses
from prm_search.bootstrapping.analyst import Analyst, Outcome
from prm_search.bootstrapping.finished import read_analyses, read_totals
from prm_search.bootstrapping.labeled_steps import LabeledProblem, group_by_problem
from prm_search.bootstrapping.run import AnalysisRun, run_analyses
from prm_search.bootstrapping.sandbox_critiques import SandboxCritiques
from prm_search.budget import Role
from prm_search.errors import EngineError
from prm_search.prms.rprm import RPrm
from prm_search.prms.sandbox_rprm import SandboxRPrm
from prm_search.progress import Silent
from prm_search.sandbox.critiques import write_critique
from prm_search.store import RECORDS, RESULTS
from prm_search.types import Failure
from tests.bootstrapping.fake_teacher import FakeTeacher, row

SOURCE = StepAnalyses(family=SandboxRPrm())


def problems(*marks: str, count: int = 6) -> tuple[LabeledProblem, ...]:
    rows = [row(number, True, True, False) for number in range(count)]
    rows += [row(100 + number, True, False, mark=mark) for number, mark in enumerate(marks)]
    return group_by_problem((item, [float(label) for label in item.labels]) for item in rows)


def run(
    directory: Path,
    teacher: FakeTeacher,
    labeled: Sequence[LabeledProblem],
    source: AnalysisSource = SOURCE,
    config: dict[str, object] | None = None,
) -> int:
    return asyncio.run(
        run_analyses(
            AnalysisRun(
                name="analyses",
                directory=directory,
                factory=lambda: teacher,
                role=Role.TEACHER,
                cluster=InProcessCluster(),
                source=source,
                num_analyses=3,
                seed=7,
                max_in_flight=2,
                max_retries=0,
            ),
            labeled,
            config=config or {},
            command="again",
            display=Silent(),
        )
    )


async def test_verdicts_are_held_to_the_labels() -> None:
    analyst = Analyst(
        generator=FakeTeacher(accuracy=0.7),
        role=Role.TEACHER,
        source=SOURCE,
        num_analyses=4,
        seed=0,
    )
    for problem in problems(count=30):
        for step in (await analyst(problem)).steps[0]:
            assert len(step.analyses) == 4
            for analysis in step.analyses:
                says_right = analysis.text.endswith("Right")
                agrees = says_right == step.step.is_right
                assert analysis.outcome is (Outcome.agrees if agrees else Outcome.disagrees)


async def test_what_cannot_be_read_is_counted_by_its_reason() -> None:
    analyst = Analyst(
        generator=FakeTeacher(), role=Role.TEACHER, source=SOURCE, num_analyses=2, seed=0
    )
    marked = problems(" too long", " unfinished", " chatter", count=0)
    found = [(await analyst(problem)).counts() for problem in marked]
    for counts, name in zip(found, ("too_long", "cut_off", "unreadable"), strict=True):
        assert counts == {**dict.fromkeys(Outcome, 0), name: 4}


async def test_a_step_is_shown_without_those_after_it() -> None:
    teacher = FakeTeacher()
    analyst = Analyst(generator=teacher, role=Role.TEACHER, source=SOURCE, num_analyses=1, seed=0)
    [problem] = problems(count=1)
    await analyst(problem)
    assert [message.count("Ann has") for message in teacher.requests] == [1, 2, 3]


def test_a_run_that_is_gone_on_with_gives_the_same_bytes(tmp_path: Path) -> None:
    labeled = problems(" chatter")
    assert run(tmp_path / "whole", FakeTeacher(accuracy=0.6), labeled) == 0
    dying = FakeTeacher(accuracy=0.6, dies_after=7)
    run(tmp_path / "broken", dying, labeled)
    done_before = len((tmp_path / "broken" / RECORDS).read_text().splitlines())
    assert done_before == len(labeled)
    second = FakeTeacher(accuracy=0.6)
    assert run(tmp_path / "broken", second, labeled) == 0
    assert 0 < len(second.requests) < sum(problem.num_steps for problem in labeled)
    first, again = ((tmp_path / name / RESULTS).read_bytes() for name in ("whole", "broken"))
    assert first == again


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    labeled = problems()
    run(tmp_path, FakeTeacher(accuracy=0.5), labeled)
    read = list(read_analyses(tmp_path))
    assert tuple(item.problem for item in read) == labeled
    totals = read_totals(tmp_path)
    assert totals.num_steps == sum(problem.num_steps for problem in labeled)
    assert sum(totals.outcomes.values()) == 3 * totals.num_steps
    kept = sum(bool(step.texts(Outcome.agrees)) for item in read for step in item.steps[0])
    assert totals.num_kept == kept
    assert "agrees" in str(totals)


def test_a_teacher_that_never_answers_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no steps of any problem could be analysed"):
        run(tmp_path, FakeTeacher(dies_after=0), problems())


def test_rprm_asks_any_chat_model_in_its_own_words() -> None:
    source = StepAnalyses(family=RPrm(), preamble="An example.\n\n")
    first, second = source.requests("Why?", ["Because.", "So."], [0, 1])
    assert first.message == "An example.\n\n" + RPrm().message("Why?", ["Because."])
    assert second.steps == (1,)
    analysis = source.read("Fine. Verification: Is the step correct (Yes/No)? No", 1)
    assert isinstance(analysis, Analysis)
    assert not analysis.is_right


def test_a_critique_has_an_analysis_of_each_step_up_to_the_first_wrong_one() -> None:
    prompt = (
        "Some friends count shells. Ann gets 12. Ben gets 7 more than Ann. "
        "How many shells does Ben have?"
    )
    steps = ["Ann: 12 is given, so Ann=12.", "Ben: Ann=12 and 12+7=18, so Ben=18."]
    critique = write_critique(prompt, [*steps, "The answer is \\boxed{18}."])
    source = SandboxCritiques()
    [request] = source.requests(prompt, steps, [0, 1])
    assert request.steps == (0, 1)
    first, second, third = (source.read(critique, step) for step in range(3))
    assert isinstance(first, Analysis)
    assert first.is_right
    assert first.text == "Ann: 12 is given, got 12. Right"
    assert isinstance(second, Analysis)
    assert not second.is_right
    assert isinstance(third, Failure)
