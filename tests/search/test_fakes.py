from __future__ import annotations

import asyncio
import math
import pickle

import pytest

from prm_search.concurrency import gather_all
from prm_search.errors import (
    ConfigurationError,
    ContextLengthError,
    EngineError,
    GradingError,
)
from prm_search.fakes import FakeGenerator, FakeGrader, FakeJudge, FakeScorer, is_flawed
from prm_search.protocols import Generator, Judge, Scorer, Until
from prm_search.types import Failure, Problem, Step, StopReason, Trajectory, Usage, Verdict

PROBLEM = Problem(id="p", prompt="What is six plus six?", answer="12")
ROOT = Trajectory(problem=PROBLEM)


async def samples(generator: FakeGenerator, num_samples: int = 50) -> list[Trajectory]:
    generation = await generator.generate(ROOT, num_samples=num_samples, until=Until.END, seed=0)
    return [ROOT.extend(*steps) for steps in generation.continuations]


def test_the_fakes_follow_the_protocols() -> None:
    assert isinstance(FakeGenerator(), Generator)
    assert isinstance(FakeScorer(), Scorer)
    assert isinstance(FakeJudge(), Judge)
    assert pickle.loads(pickle.dumps(FakeGenerator())) == FakeGenerator()


async def test_the_same_seed_gives_the_same_samples() -> None:
    assert await samples(FakeGenerator()) == await samples(FakeGenerator(latency=0.001))
    other = await FakeGenerator().generate(ROOT, num_samples=50, until=Until.END, seed=1)
    assert [ROOT.extend(*steps) for steps in other.continuations] != await samples(FakeGenerator())


async def test_greedy_decoding_step_by_step_is_greedy_decoding_at_once() -> None:
    generator = FakeGenerator()
    whole = await generator.generate(ROOT, num_samples=2, until=Until.END, seed=5, temperature=0)
    prefix = ROOT
    for seed in range(4):
        step = await generator.generate(
            prefix, num_samples=1, until=Until.STEP, seed=seed, temperature=0
        )
        prefix = prefix.extend(*step.continuations[0])
    assert whole.continuations == (prefix.steps, prefix.steps)


async def test_a_solution_is_right_exactly_if_no_step_is_flawed() -> None:
    grader = FakeGrader()
    found = await samples(FakeGenerator(num_steps=3, num_extra_steps=2, wrong_answers=("7",)))
    for trajectory in found:
        flawed = any(map(is_flawed, trajectory.steps))
        assert grader.extract(trajectory.text) == ("7" if flawed else "12")
        assert trajectory.stop_reason is StopReason.END
    assert {len(trajectory.steps) for trajectory in found} == {3, 4, 5}


async def test_the_generator_reports_what_it_did() -> None:
    generator = FakeGenerator(num_steps=2)
    first = await generator.generate(ROOT, num_samples=3, until=Until.STEP, seed=0)
    prefix = ROOT.extend(*first.continuations[0])
    second = await generator.generate(prefix, num_samples=1, until=Until.STEP, seed=0)
    assert first.usage == Usage(prompt_tokens=5, generated_tokens=15, num_calls=1)
    assert second.usage == Usage(prompt_tokens=10, cached_tokens=9, generated_tokens=4, num_calls=1)
    assert generator.usage == first.usage + second.usage
    assert generator.num_calls == 2


async def test_truncated_and_empty_samples() -> None:
    assert {t.stop_reason for t in await samples(FakeGenerator(truncation_rate=1))} == {"length"}
    generation = await FakeGenerator(empty_rate=1).generate(
        ROOT, num_samples=1, until=Until.STEP, seed=0
    )
    assert generation.continuations == (
        (Step(text="", token_ids=(0,), stop_reason=StopReason.END),),
    )


async def test_a_prefix_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ContextLengthError, match=r"5 tokens .* at most 4"):
        await samples(FakeGenerator(max_model_len=4))


def test_a_solution_needs_a_step() -> None:
    with pytest.raises(ConfigurationError, match="num_steps"):
        FakeGenerator(num_steps=0)


async def test_failures_are_injected_by_call_and_by_problem() -> None:
    scorer = FakeScorer(failing_calls=frozenset({1}), failing_problems=frozenset({"bad"}))
    await scorer.score([ROOT])
    with pytest.raises(EngineError, match="call 1 of FakeScorer"):
        await scorer.score([ROOT])
    with pytest.raises(EngineError, match="problem 'bad'"):
        await scorer.score([Trajectory(problem=Problem(id="bad", prompt="?"))])
    assert scorer.num_calls == 3


async def test_scores_depend_on_the_prefix_alone_and_tell_flawed_steps() -> None:
    scorer = FakeScorer()
    for trajectory in await samples(FakeGenerator()):
        prefixes = [
            Trajectory(problem=PROBLEM, steps=trajectory.steps[:end])
            for end in range(1, len(trajectory.steps) + 1)
        ]
        whole = (await scorer.score([trajectory])).scores[0]
        assert not isinstance(whole, Failure)
        for end, scores in enumerate((await scorer.score(prefixes)).scores, start=1):
            assert not isinstance(scores, Failure)
            assert scores.values == whole.values[:end]
        for step, value in zip(trajectory.steps, whole.values, strict=True):
            assert (value < 0.5) == is_flawed(step)


async def test_a_nan_score_is_a_failure() -> None:
    scoring = await FakeScorer(failure_rate=1).score(await samples(FakeGenerator(), 1))
    assert scoring.scores == (
        Failure(kind="ScoringError", message="the score of step 0 is nan; it must be in [0, 1]"),
    )


async def test_a_scorer_that_reuses_prefixes_computes_each_once() -> None:
    (trajectory,) = await samples(FakeGenerator(num_steps=2), 1)
    prefix = Trajectory(problem=PROBLEM, steps=trajectory.steps[:1])
    scorer = FakeScorer(reuses_prefixes=True)
    costs = [(await scorer.score([each])).usage for each in (prefix, trajectory, trajectory)]
    # five words of prompt, five and four of steps, a mark after each step
    assert [(cost.cached_tokens, cost.scored_tokens) for cost in costs] == [
        (0, 11),
        (11, 5),
        (16, 0),
    ]
    plain = (await FakeScorer().score([prefix, trajectory])).usage
    assert (plain.prompt_tokens, plain.cached_tokens, plain.scored_tokens) == (27, 0, 27)


async def test_the_judge_finds_the_first_flawed_step() -> None:
    for trajectory in await samples(FakeGenerator()):
        flawed = [i for i, step in enumerate(trajectory.steps) if is_flawed(step)]
        truth = flawed[0] if flawed else None
        right = await FakeJudge().judge(trajectory, num_votes=3, seed=0)
        wrong = await FakeJudge(accuracy=0).judge(trajectory, num_votes=3, seed=0)
        for verdict in right.verdicts:
            assert isinstance(verdict, Verdict)
            assert verdict.first_error == truth
        for verdict in wrong.verdicts:
            assert isinstance(verdict, Verdict)
            assert verdict.first_error != truth


async def test_a_critique_that_cannot_be_read_is_a_failure() -> None:
    (trajectory,) = await samples(FakeGenerator(), 1)
    judgement = await FakeJudge(failure_rate=1).judge(trajectory, num_votes=2, seed=0)
    assert all(isinstance(verdict, Failure) for verdict in judgement.verdicts)


async def test_the_grader_compares_numbers_and_texts() -> None:
    grader = FakeGrader(ungradable=frozenset({"9^9"}))
    assert grader.extract("no") is None
    assert grader.extract(r"\boxed{1} then \boxed{2}") == "2"
    assert await grader.equivalent("1/2", "0.5")
    assert await grader.equivalent("x ", "x")
    assert not await grader.equivalent("1", "x")
    with pytest.raises(GradingError, match="9\\^9"):
        await grader.equivalent("1", "9^9")
    assert grader.num_calls == 4


async def test_gathering_keeps_the_order_and_cancels_what_is_left_after_an_error() -> None:
    ended: list[str] = []

    async def wait(seconds: float) -> float:
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
        if math.isclose(seconds, 0.002):
            raise EngineError("gone")
        return seconds

    assert await gather_all([wait(0.003), wait(0.001)]) == (0.003, 0.001)
    with pytest.raises(EngineError, match="gone"):
        await gather_all([wait(60), wait(0.002)])
    assert ended == ["cancelled"]
