"""Rollouts are rewarded as they end, and in the right order."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from prm_search.budget import Ledger
from prm_search.fakes import FakeGenerator, FakeGrader, FakeScorer
from prm_search.rewards.reward import Reward, step_spans
from prm_search.rewards.sources import AnswerSource
from prm_search.rl import (
    Request,
    RolloutTimes,
    SampleCollector,
    TreeCollector,
    VersionedGenerator,
)
from prm_search.rl.clock import covered
from prm_search.search import BeamSearch, BestOfN
from prm_search.types import Failure, Generation, Problem, StepScores, Trajectory

PROBLEMS = [Problem(id=name, prompt=f"{name}?", answer="12") for name in "abc"]
REQUESTS = [Request(problem=problem, index=index) for problem in PROBLEMS for index in range(4)]


class Trainable:
    """The fake policy with weights that are numbers."""

    def __init__(self, generator: FakeGenerator) -> None:
        self.generator = generator
        self.version = 0

    async def update_weights(self, folder: str, version: int) -> None:
        self.version = version

    async def restore_weights(self) -> None:
        self.version = 0

    async def generate(self, prefix: Trajectory, **options: object) -> Generation:
        generation = await self.generator.generate(prefix, **options)  # type: ignore[arg-type]
        return replace(generation, policy_version=self.version)


class SlowSource:
    """Notes when it was asked, and takes its time."""

    ledger = Ledger()

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds

    async def reward(self, rollouts: Sequence[Trajectory]) -> list[Reward]:
        await asyncio.sleep(self.seconds)
        return [Reward(spans=step_spans(one), outcome=1.0) for one in rollouts]


def generator(latency: float = 0.0) -> VersionedGenerator:
    return VersionedGenerator(Trainable(FakeGenerator(latency=latency)))


async def test_rollouts_come_in_the_order_of_the_requests_and_from_the_seed_alone() -> None:
    slow = await SampleCollector(generator(latency=0.02), SlowSource())(REQUESTS, seed=1)
    fast = await SampleCollector(generator(), SlowSource())(REQUESTS, seed=1)
    other = await SampleCollector(generator(), SlowSource())(REQUESTS, seed=2)
    places = [(one.trajectory.problem.id, one.index) for one in slow.rollouts]
    assert places == [(request.problem.id, request.index) for request in REQUESTS]
    assert slow.rollouts == fast.rollouts != other.rollouts
    assert slow.usage.generated_tokens == fast.usage.generated_tokens > 0


async def test_a_part_of_the_requests_gives_the_same_rollouts() -> None:
    collect = SampleCollector(generator(), SlowSource())
    whole = await collect(REQUESTS, seed=1)
    parts = [await collect(part, seed=1) for part in (REQUESTS[:5], REQUESTS[5:])]
    assert whole.rollouts == parts[0].rollouts + parts[1].rollouts


async def test_scoring_hides_behind_sampling() -> None:
    collected = await SampleCollector(generator(latency=0.2), SlowSource(0.02))(REQUESTS, seed=1)
    times = collected.times
    assert times.exposed_scoring < 0.06  # the last one is all that is left
    assert times.hidden_share is not None
    assert times.hidden_share > 0.5


async def test_every_rollout_is_noted_with_its_version() -> None:
    noted: list[int] = []
    policy = generator()
    collect = SampleCollector(
        policy, SlowSource(), note=lambda rollout: noted.append(rollout.policy_version)
    )
    await collect(REQUESTS, seed=1)
    await policy.update_weights("folder", 7)
    await collect(REQUESTS, seed=1)
    await policy.restore()
    await collect(REQUESTS[:1], seed=1)
    assert noted == [0] * 12 + [7] * 12 + [0]


async def test_trees_bring_their_scores() -> None:
    collect = TreeCollector(
        generator(),
        BestOfN(num_samples=4),
        scorer=FakeScorer(),
        grader=FakeGrader(),
        outcomes=AnswerSource(FakeGrader()),
    )
    collected = await collect(REQUESTS, seed=1)
    assert collected.share_from_search == 1
    assert [one.trajectory.problem.id for one in collected.rollouts] == list("aaaabbbbcccc")
    assert all(one.reward.scores is not None for one in collected.rollouts)
    assert {one.reward.outcome for one in collected.rollouts} <= {0.0, 1.0}
    assert len({one.trajectory.text for one in collected.rollouts[:4]}) > 1


async def test_a_score_that_failed_stays_a_failure() -> None:
    collect = TreeCollector(
        generator(),
        BestOfN(num_samples=4),
        scorer=FakeScorer(failure_rate=1.0),
        grader=FakeGrader(),
    )
    collected = await collect(REQUESTS, seed=1)
    assert all(isinstance(one.reward.scores, Failure) for one in collected.rollouts)


async def test_plain_samples_take_the_places_that_a_search_leaves() -> None:
    collect = TreeCollector(
        generator(),
        BestOfN(num_samples=3),
        scorer=FakeScorer(),
        grader=FakeGrader(),
        outcomes=AnswerSource(FakeGrader()),
    )
    collected = await collect(REQUESTS, seed=1)
    assert collected.share_from_search == 0.75
    assert [(one.trajectory.problem.id, one.index) for one in collected.rollouts] == [
        (request.problem.id, request.index) for request in REQUESTS
    ]
    assert all(isinstance(one.reward.scores, StepScores) for one in collected.rollouts)
    assert {one.reward.outcome for one in collected.rollouts} <= {0.0, 1.0}
    assert (await collect(REQUESTS, seed=1)).rollouts == collected.rollouts


async def test_prefixes_are_no_rollouts() -> None:
    collect = TreeCollector(
        generator(),
        BeamSearch(num_beams=4, num_expansions=4, max_steps=1),
        scorer=FakeScorer(),
        grader=FakeGrader(),
    )
    collected = await collect(REQUESTS, seed=1)
    assert collected.share_from_search == 0
    assert all(one.trajectory.is_finished for one in collected.rollouts)


async def test_without_a_verifier_there_are_no_outcomes() -> None:
    collect = TreeCollector(
        generator(), BestOfN(num_samples=3), scorer=FakeScorer(), grader=FakeGrader()
    )
    collected = await collect(REQUESTS, seed=1)
    assert {one.reward.outcome for one in collected.rollouts} == {None}


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20)).map(lambda one: (one[0], sum(one))))
)
def test_covered_time_is_that_of_the_union(intervals: list[tuple[int, int]]) -> None:
    moments = {moment for start, end in intervals for moment in range(start, end)}
    assert covered([(float(start), float(end)) for start, end in intervals]) == len(moments)


def test_nothing_is_hidden_where_nothing_is_scored() -> None:
    assert RolloutTimes(total=1.0, sampling=1.0, scoring=0.0).hidden_share is None
