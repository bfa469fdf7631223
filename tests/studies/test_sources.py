from __future__ import annotations

import asyncio
import json
import random
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prm_search.errors import DataError
from prm_search.labeling.annotation import Annotation, Annotator, Response
from prm_search.labeling.consensus import Consensus
from prm_search.labeling.judge_votes import JudgeVotes
from prm_search.labeling.label_records import record_of_labels
from prm_search.labeling.labeler import LabeledProblem
from prm_search.labeling.monte_carlo import LabelKind, MonteCarlo, Order
from prm_search.labeling.oracle import SandboxOracle
from prm_search.labeling.rollouts import Outcome
from prm_search.sandbox.problems import SandboxProblems
from prm_search.sandbox.solutions import Flaws, write_solution
from prm_search.sandbox.wording import read_problem
from prm_search.store import RESULTS
from prm_search.studies.lessons.recorded import (
    UNDECIDED,
    RecordedResponse,
    Recording,
    read_recording,
)
from prm_search.studies.lessons.sources import (
    THRESHOLDS,
    consensus_hard,
    consensus_soft,
    judged,
    label_sources,
    monte_carlo_hard,
    monte_carlo_soft,
    true_labels,
    write_sources,
)
from prm_search.types import Step, StopReason, Trajectory
from tests.labeling.scripted import (
    SEED,
    Case,
    ScriptedCompleter,
    ScriptedJudge,
    annotate,
    cases,
    grader,
    response,
    values,
)


def record_all(folder: Path, labeled: list[tuple[Response, Annotation]]) -> Recording:
    """What reading back a run gives that labeled these responses."""
    problem = labeled[0][0].trajectory.problem
    result = LabeledProblem(problem=problem, num_samples=len(labeled), labeled=tuple(labeled))
    record = asyncio.run(record_of_labels(result, method="consensus", seed=SEED, grader=grader()))
    (folder / RESULTS).write_text(json.dumps(record) + "\n")
    return read_recording(folder)


def recorded(case: Case, vote: int | str | None) -> Recording:
    """The recording of a run as the study starts it."""
    recorder = Consensus(
        monte_carlo=MonteCarlo(
            num_rollouts=case.num_rollouts,
            labels=LabelKind.soft,
            order=Order.stop_at_first_error,
        )
    )
    judge = ScriptedJudge(votes=[vote])
    annotation = annotate(recorder, case.response, case.completer(), judge)
    with TemporaryDirectory() as folder:
        return record_all(Path(folder), [(case.response, annotation)])


def assert_same(derived: Annotation, own: Annotation) -> None:
    """The same labels and first error, or set aside for the same reason."""
    assert (derived.rejection is None) == (own.rejection is None)
    if derived.rejection is not None and own.rejection is not None:
        assert derived.rejection.kind == own.rejection.kind
    assert values(derived) == values(own)
    assert [label.source for label in derived.labels] == [label.source for label in own.labels]
    assert derived.first_error == own.first_error


@settings(max_examples=150, deadline=None)
@given(case=cases(), vote=st.sampled_from([None, 0, 1, 2, "?"]))
def test_derived_labels_are_those_of_the_annotators(case: Case, vote: int | str | None) -> None:
    recording = recorded(case, vote)
    if not recording.responses:
        assert recording.left_out == {UNDECIDED: 1}
        return
    (item,) = recording.responses

    def own(annotator: Annotator) -> Annotation:
        return annotate(annotator, case.response, case.completer(), ScriptedJudge(votes=[vote]))

    number = case.num_rollouts
    soft = MonteCarlo(num_rollouts=number, labels=LabelKind.soft, order=Order.stop_at_first_error)
    for threshold in {*THRESHOLDS, case.threshold}:
        plain = MonteCarlo(num_rollouts=number, threshold=threshold)
        assert_same(monte_carlo_hard(item, threshold), own(plain))
    assert_same(monte_carlo_soft(item), own(soft))
    assert_same(judged(item), own(JudgeVotes()))
    assert_same(consensus_soft(item), own(Consensus(monte_carlo=soft)))
    by_all = MonteCarlo(num_rollouts=number, order=Order.exhaustive)
    assert_same(consensus_hard(item), own(Consensus(monte_carlo=by_all)))


def test_responses_with_a_rollout_that_nobody_can_grade_are_left_out_and_counted() -> None:
    outcomes = [[Outcome.RIGHT, Outcome.UNGRADABLE]]
    case = Case(
        own=Outcome.RIGHT,
        outcomes=outcomes,
        num_rollouts=2,
        waves=[1],
        threshold=0.0,
        latency_seed=0,
    )
    assert recorded(case, None) == Recording(responses=(), left_out={UNDECIDED: 1})


def test_a_run_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no finished labeling run"):
        read_recording(tmp_path)
    labeled = response(3)
    completer = ScriptedCompleter(outcomes=[[Outcome.RIGHT], [Outcome.RIGHT]])
    lazy = annotate(
        Consensus(monte_carlo=MonteCarlo(num_rollouts=1)),
        labeled,
        completer,
        ScriptedJudge(votes=[None]),
    )
    recording = record_all(tmp_path, [(labeled, lazy)])
    assert recording.left_out == {UNDECIDED: 1}  # the last step alone was looked at


def test_true_labels_are_the_oracle_s() -> None:
    problems = SandboxProblems(num_problems=30).load().problems
    rng = random.Random(0)
    flaws = Flaws(misconception_share=0.5, slip_probability=0.2)
    num_errors = 0
    for problem in problems:
        texts = write_solution(read_problem(problem.prompt), rng, flaws)
        steps = [Step(text=f"{text}\n\n") for text in texts[:-1]]
        last = Step(text=texts[-1], stop_reason=StopReason.END)
        trajectory = Trajectory(problem=problem, steps=(*steps, last))
        own = annotate(SandboxOracle(), Response(id="r", trajectory=trajectory))
        item = sandbox_response(problem.prompt, tuple(texts))
        assert_same(true_labels(item), own)
        num_errors += own.first_error is not None
    assert 0 < num_errors < 30


def sandbox_response(prompt: str, steps: tuple[str, ...]) -> RecordedResponse:
    return RecordedResponse(
        id="p/0",
        problem_id="p",
        prompt=prompt,
        reference="1",
        steps=steps,
        is_answer_correct=None,
        tallies=(),
        num_rollouts=(0,) * len(steps),
        judged=None,
    )


def test_files_hold_the_kept_responses_of_each_source(tmp_path: Path) -> None:
    problem = replace(SandboxProblems(num_problems=1).load().problems[0], answer="1")
    texts = write_solution(
        read_problem(problem.prompt),
        random.Random(0),
        Flaws(misconception_share=0.0, slip_probability=0.0),
    )
    steps = [Step(text=f"{text}\n\n", token_ids=(1,)) for text in texts[:-1]]
    own = Step(text=texts[-1], token_ids=(1,), stop_reason=StopReason.END)
    labeled = Response(id="r", trajectory=Trajectory(problem=problem, steps=(*steps, own)))
    outcomes = [[Outcome.RIGHT] * 8] + [[Outcome.WRONG] * 8] * (len(steps) - 1)
    annotation = annotate(
        Consensus(monte_carlo=MonteCarlo(labels=LabelKind.soft, order=Order.stop_at_first_error)),
        labeled,
        ScriptedCompleter(outcomes=outcomes),
        ScriptedJudge(votes=[None]),
    )
    record_all(tmp_path, [(labeled, annotation)])
    write_sources(tmp_path, label_sources([0.5]), tmp_path / "sources")
    files = {path.stem: path.read_text() for path in (tmp_path / "sources").iterdir()}
    assert files.keys() == {
        *("mc_hard", "mc_soft", "judge", "consensus_hard", "consensus_soft", "oracle"),
        "mc_hard_above_0.5",
    }
    assert files["consensus_hard"] == files["consensus_soft"] == ""  # they disagree
    row = json.loads(files["mc_soft"])
    assert (row["labels"], row["soft_labels"]) == ([True, False], [1.0, 0.0])
    assert row["unlabeled_steps"] == texts[2:]
    assert json.loads(files["judge"])["labels"] == [True] * len(texts)
    assert json.loads(files["oracle"])["first_error"] is None
