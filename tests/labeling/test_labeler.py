"""What becomes of each sample, and that nothing is lost."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from prm_search.budget import Ledger, Role
from prm_search.errors import ConfigurationError, EngineError, JudgeError
from prm_search.fakes import FakeGenerator, FakeGrader, FakeJudge
from prm_search.labeling.annotation import Annotation, Annotator, Response
from prm_search.labeling.consensus import Consensus
from prm_search.labeling.judge_votes import JudgeVotes
from prm_search.labeling.label_records import record_of_labels
from prm_search.labeling.label_totals import LabelTotals
from prm_search.labeling.labeler import LabeledProblem, Labeler
from prm_search.labeling.monte_carlo import MonteCarlo
from prm_search.labeling.step_labels import step_labels
from prm_search.types import Generation, Problem, Step, StopReason, Trajectory, Usage

PROBLEM = Problem(id="p", prompt="How many?", answer="12")
END = StopReason.END


@dataclass
class Scripted:
    """Writes these solutions, in this order."""

    solutions: tuple[tuple[Step, ...], ...]

    async def generate(self, prefix: Trajectory, **options: Any) -> Generation:
        assert options["num_samples"] == len(self.solutions)
        return Generation(continuations=self.solutions, usage=Usage(num_calls=1))


@dataclass(frozen=True)
class AllRight:
    """Finds no errors, and fails on responses with certain words in them."""

    errors: dict[str, Exception] = field(default_factory=dict)
    needs: frozenset[Role] = frozenset()

    async def __call__(self, response: Response, **parts: Any) -> Annotation:
        for word, error in self.errors.items():
            if word in response.trajectory.text:
                raise error
        num_steps = len(response.trajectory.steps)
        return Annotation(labels=step_labels(num_steps, None, source="test"))


def labeler(annotator: Annotator, **parts: Any) -> Labeler:
    generator = FakeGenerator(num_extra_steps=2, error_rate=0.2)
    settings: dict[str, Any] = {
        "num_responses": 8,
        "seed": 0,
        "generator": generator,
        "completer": generator,
        "judge": FakeJudge(accuracy=0.8),
        "grader": FakeGrader(),
        **parts,
    }
    return Labeler(annotator=annotator, **settings)


def solution(*texts: str, stop_reason: StopReason = END) -> tuple[Step, ...]:
    *others, last = texts
    return (*(Step(text=text) for text in others), Step(text=last, stop_reason=stop_reason))


async def label_solutions(
    *solutions: tuple[Step, ...], annotator: Annotator | None = None
) -> LabeledProblem:
    return await labeler(
        annotator or AllRight(), generator=Scripted(solutions), num_responses=len(solutions)
    )(PROBLEM)


def kinds(result: LabeledProblem) -> dict[str, str | None]:
    """What became of each sample, by its index."""
    labeled = {
        response.id.rpartition("/")[2]: annotation.rejection and annotation.rejection.kind
        for response, annotation in result.labeled
    }
    return labeled | {str(item.index): item.failure.kind for item in result.set_aside}


async def test_each_sample_is_labeled_or_set_aside_with_the_reason() -> None:
    result = await label_solutions(
        solution("one\n\n", "two"),
        solution("one \n\n", "two\n"),
        solution("  \n"),
        solution("one\n\n", "cut", stop_reason=StopReason.LENGTH),
        (),
        solution("other"),
    )
    assert kinds(result) == {
        "0": None,
        "1": "duplicate",
        "2": "empty",
        "3": "unfinished",
        "4": "empty",
        "5": None,
    }
    assert result.num_samples == 6
    assert [len(annotation.labels) for _, annotation in result.labeled] == [2, 2, 1]


async def test_one_response_that_cannot_be_labeled_does_not_harm_the_others() -> None:
    annotator = AllRight(errors={"bad": JudgeError("no answer from the judge")})
    result = await label_solutions(solution("bad"), solution("good"), annotator=annotator)
    assert kinds(result) == {"0": "JudgeError", "1": None}
    assert [label.value for label in result.labeled[0][1].labels] == [None]


@pytest.mark.parametrize("error", [EngineError("dead"), ConfigurationError("no judge")])
async def test_what_another_try_or_another_setting_may_mend_is_no_rejection(
    error: Exception,
) -> None:
    with pytest.raises(type(error)):
        await label_solutions(
            solution("bad"), solution("good"), annotator=AllRight(errors={"bad": error})
        )


async def test_a_problem_without_an_answer_costs_nothing_where_rollouts_are_graded() -> None:
    generator = FakeGenerator()
    problem = replace(PROBLEM, answer=None)
    result = await labeler(MonteCarlo(), generator=generator)(problem)
    record = await record_of_labels(result, method="x", seed=0, grader=FakeGrader())
    assert generator.num_calls == 0
    assert isinstance(record["error"], dict)
    assert record["error"]["kind"] == "no_reference_answer"
    assert record["error"]["is_transient"] is False
    judged = await labeler(JudgeVotes())(problem)
    assert judged.failure is None
    assert judged.labeled


async def test_a_judge_that_answers_nonsense_gives_no_labels() -> None:
    result = await labeler(Consensus(), judge=FakeJudge(failure_rate=1.0))(PROBLEM)
    assert set(kinds(result).values()) == {"unreadable"}


async def test_a_completer_that_never_ends_is_counted() -> None:
    result = await labeler(MonteCarlo(), completer=FakeGenerator(truncation_rate=1.0))(PROBLEM)
    record = await record_of_labels(result, method="x", seed=0, grader=FakeGrader())
    responses: Any = record["responses"]
    outcomes = [item["details"]["monte_carlo"]["outcomes"] for item in responses]
    assert any("cut_off" in item for item in outcomes)
    assert all(set(item) <= {"cut_off"} for item in outcomes)


async def test_answers_that_cannot_be_graded_are_no_labels() -> None:
    grader = FakeGrader(ungradable=frozenset({"12", "7", "8", "9"}))
    result = await labeler(MonteCarlo(), grader=grader)(PROBLEM)
    assert set(kinds(result).values()) == {"ungradable"}


async def test_the_record_books_rollouts_to_the_completer_and_samples_to_the_policy() -> None:
    result = await labeler(Consensus())(PROBLEM)
    record: Any = await record_of_labels(result, method="x", seed=0, grader=FakeGrader())
    spent = sum((annotation.ledger for _, annotation in result.labeled), Ledger())
    assert record["usage"]["policy"]["num_calls"] == 1
    assert record["usage"]["completer"]["num_calls"] == spent.of(Role.POLICY).num_calls > 0
    assert record["num_generations"] == 8
    assert record["num_rollouts"] == spent.num_generations
    assert record["num_responses"] == len(record["responses"]) + len(record["set_aside"])
    totals = LabelTotals().add(record)
    assert totals.num_kept == sum(item["rejection"] is None for item in record["responses"])
    assert totals.retention == totals.num_kept / len(record["responses"])


async def test_the_same_seed_gives_the_same_record_whatever_the_latencies() -> None:
    records = [
        await record_of_labels(
            await labeler(
                Consensus(),
                generator=FakeGenerator(latency=0.002, latency_seed=latency_seed),
                completer=FakeGenerator(latency=0.002, latency_seed=latency_seed),
            )(PROBLEM),
            method="x",
            seed=0,
            grader=FakeGrader(),
        )
        for latency_seed in (0, 1)
    ]
    assert records[0] == records[1]
