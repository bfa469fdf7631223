"""Sources over the fake engines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from prm_search.budget import Ledger, Role
from prm_search.errors import ConfigurationError
from prm_search.fakes import FakeGrader, FakeJudge, FakeScorer
from prm_search.rewards import Reward, read_completion
from prm_search.rewards.sources import AnswerSource, Blend, Combination, JudgeSource, PrmSource
from prm_search.types import (
    Failure,
    Judgement,
    Problem,
    StepScores,
    Trajectory,
    Usage,
    Verdict,
)

PROBLEM = Problem(id="p", prompt="How much is 5 + 7?", answer="12")
RIGHT = "Add 5.\n\nAdd 7.\n\nSo \\boxed{12}."
FLAWED = "Add 5.\n\nA guess.\n\nSo \\boxed{7}."


def rollout(
    completion: str = RIGHT, *, problem: Problem = PROBLEM, is_truncated: bool = False
) -> Trajectory:
    return read_completion(problem, completion, separator="\n\n", is_truncated=is_truncated)


@dataclass
class ScriptedJudge:
    """Gives the votes that it was told to."""

    votes: Sequence[int | Failure | None]

    async def judge(self, trajectory: Trajectory, *, num_votes: int, seed: int) -> Judgement:
        verdicts = [
            vote if isinstance(vote, Failure) else Verdict(first_error=vote, critique="")
            for vote in self.votes
        ]
        return Judgement(verdicts=tuple(verdicts), usage=Usage(generated_tokens=3, num_calls=1))


@dataclass
class ScriptedSource:
    """Gives one and the same reward."""

    answer: Reward

    @property
    def ledger(self) -> Ledger:
        return Ledger()

    async def reward(self, rollouts: Sequence[Trajectory]) -> list[Reward]:
        return [self.answer] * len(rollouts)


async def test_a_prm_scores_each_step_and_says_where_it_stands() -> None:
    source = PrmSource(FakeScorer(noise=0.0))
    good, flawed = await source.reward([rollout(), rollout(FLAWED)])
    assert good.scores == StepScores(values=(0.9, 0.9, 0.9))
    assert flawed.scores == StepScores(values=(0.9, 0.1, 0.9))
    assert [FLAWED[start:end] for start, end in flawed.spans] == [
        "Add 5.\n\n",
        "A guess.\n\n",
        "So \\boxed{7}.",
    ]
    assert good.outcome is None
    assert source.ledger.of(Role.PRM).num_calls == 1


async def test_an_empty_completion_is_not_sent_to_a_prm_or_a_judge() -> None:
    scorer, judge = FakeScorer(), FakeJudge()
    for source in (PrmSource(scorer), JudgeSource(judge)):
        assert await source.reward([rollout(" \n\n")]) == [
            Reward(spans=(), scores=StepScores(values=()))
        ]
    assert scorer.num_calls == judge.num_calls == 0


async def test_a_rollout_that_cannot_be_scored_has_a_failure_instead() -> None:
    source = PrmSource(FakeScorer(failure_rate=1.0))
    (reward,) = await source.reward([rollout()])
    assert isinstance(reward.scores, Failure)
    assert reward.scores.kind == "ScoringError"
    assert len(reward.spans) == 3


async def test_an_engine_that_fails_harms_its_own_problem_alone() -> None:
    other = replace(PROBLEM, id="other")
    source = PrmSource(FakeScorer(failing_problems=frozenset({"p"})))
    broken, fine, also_broken = await source.reward(
        [rollout(), rollout(problem=other), rollout(FLAWED)]
    )
    assert isinstance(broken.scores, Failure)
    assert isinstance(also_broken.scores, Failure)
    assert broken.scores.kind == "EngineError"
    assert isinstance(fine.scores, StepScores)


async def test_a_judge_scores_a_step_by_the_votes_without_an_error_up_to_it() -> None:
    unreadable = Failure(kind="JudgeError", message="names no step")
    source = JudgeSource(ScriptedJudge([None, 1, 2, unreadable, 1]), num_votes=5)
    (reward,) = await source.reward([rollout()])
    assert reward.scores == StepScores(values=(1.0, 0.5, 0.25))
    assert source.ledger.of(Role.JUDGE).generated_tokens == 3


async def test_a_judge_without_a_readable_vote_gives_no_scores() -> None:
    unreadable = Failure(kind="JudgeError", message="names no step")
    (reward,) = await JudgeSource(ScriptedJudge([unreadable])).reward([rollout()])
    assert reward.scores == unreadable


async def test_a_judge_that_fails_is_a_failure() -> None:
    (reward,) = await JudgeSource(FakeJudge(failing_calls=frozenset({0}))).reward([rollout()])
    assert isinstance(reward.scores, Failure)
    assert reward.scores.kind == "EngineError"


async def test_the_same_rollout_gets_the_same_critiques() -> None:
    judge = FakeJudge(accuracy=0.5)
    alone = await JudgeSource(judge, num_votes=4, seed=3).reward([rollout(FLAWED)])
    beside = await JudgeSource(judge, num_votes=4, seed=3).reward([rollout(), rollout(FLAWED)])
    assert beside[1] == alone[0]


def test_a_judge_needs_a_vote() -> None:
    with pytest.raises(ConfigurationError, match="num_votes"):
        JudgeSource(FakeJudge(), num_votes=0)


@pytest.mark.parametrize(
    ("completion", "is_truncated", "outcome"),
    [
        (RIGHT, False, 1.0),
        (FLAWED, False, 0.0),
        ("Add 5.\n\nI give up.", False, 0.0),
        ("", False, 0.0),
        (RIGHT + "\n\nBut wait", True, 0.0),
    ],
)
async def test_outcomes(completion: str, is_truncated: bool, outcome: float) -> None:
    source = AnswerSource(FakeGrader())
    (reward,) = await source.reward([rollout(completion, is_truncated=is_truncated)])
    assert reward.outcome == outcome
    assert reward.scores is None


async def test_what_cannot_be_graded_is_neither_right_nor_wrong() -> None:
    source = AnswerSource(FakeGrader(ungradable=frozenset({"12"})))
    (reward,) = await source.reward([rollout()])
    assert isinstance(reward.outcome, Failure)
    assert reward.outcome.kind == "GradingError"
    assert source.ledger.of(Role.GRADER).num_calls == 1


async def test_without_a_reference_answer_there_is_no_outcome() -> None:
    unknown = rollout(problem=replace(PROBLEM, answer=None))
    (reward,) = await AnswerSource(FakeGrader()).reward([unknown])
    assert isinstance(reward.outcome, Failure)
    assert reward.outcome.kind == "NoReferenceAnswer"


async def test_a_prm_and_a_verifier_together() -> None:
    source = Combination([PrmSource(FakeScorer(noise=0.0)), AnswerSource(FakeGrader())])
    good, flawed = await source.reward([rollout(), rollout(FLAWED)])
    assert (good.scores, good.outcome) == (StepScores(values=(0.9, 0.9, 0.9)), 1.0)
    assert (flawed.scores, flawed.outcome) == (StepScores(values=(0.9, 0.1, 0.9)), 0.0)
    assert source.ledger.of(Role.PRM).num_calls == 1
    assert source.ledger.of(Role.GRADER).num_calls == 2


@pytest.mark.parametrize(
    ("blend", "scores", "outcome"), [(Blend.min, (0.2, 0.4), 0.0), (Blend.mean, (0.5, 0.5), 0.5)]
)
async def test_scores_and_outcomes_of_several_are_blended(
    blend: Blend, scores: tuple[float, ...], outcome: float
) -> None:
    spans = ((0, 1), (1, 2))
    sources = [
        ScriptedSource(Reward(spans=spans, scores=StepScores(values=(0.2, 0.6)), outcome=1.0)),
        ScriptedSource(Reward(spans=spans, scores=StepScores(values=(0.8, 0.4)))),
        ScriptedSource(Reward(spans=spans, outcome=0.0)),
    ]
    (reward,) = await Combination(sources, blend=blend).reward([rollout()])
    assert reward == Reward(spans=spans, scores=StepScores(values=scores), outcome=outcome)


async def test_a_part_that_failed_is_not_made_up_by_the_others() -> None:
    broken = Failure(kind="EngineError", message="it broke")
    sources = [
        ScriptedSource(Reward(spans=((0, 1),), scores=StepScores(values=(0.2,)), outcome=1.0)),
        ScriptedSource(Reward(spans=((0, 1),), scores=broken)),
    ]
    (reward,) = await Combination(sources).reward([rollout()])
    assert reward.scores == broken
    assert reward.outcome == 1.0


def test_a_combination_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="at least one"):
        Combination([])
