"""Nothing is rewarded twice, nothing is lost, and the queue has an end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from prm_search.budget import Ledger
from prm_search.concurrency import gather_all
from prm_search.errors import ConfigurationError, EngineError
from prm_search.rewards import MicroBatcher, MicroBatching, Reward, read_completion, step_spans
from prm_search.types import Failure, Problem, StepScores, Trajectory

PROBLEM = Problem(id="p", prompt="Say something.")


def rollout(text: str, problem: Problem = PROBLEM) -> Trajectory:
    return read_completion(problem, text, separator="\n\n", is_truncated=False)


@dataclass
class SlowSource:
    """Gives scores that tell rollouts apart, once the gate is open."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    batches: list[list[str]] = field(default_factory=list)
    error: Exception | None = None
    failing: frozenset[str] = frozenset()
    ledger: Ledger = field(default_factory=Ledger)

    async def reward(self, rollouts: Sequence[Trajectory]) -> list[Reward]:
        self.batches.append([rollout.text for rollout in rollouts])
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return [self._reward(rollout) for rollout in rollouts]

    def _reward(self, rollout: Trajectory) -> Reward:
        if rollout.text in self.failing:
            failure = Failure(kind="EngineError", message="it broke")
            return Reward(spans=step_spans(rollout), scores=failure)
        score = 1 / len(rollout.text)
        return Reward(spans=step_spans(rollout), scores=StepScores(values=(score,)))


def opened(**settings: object) -> SlowSource:
    source = SlowSource(**settings)  # type: ignore[arg-type]
    source.gate.set()
    return source


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_single_requests_travel_together() -> None:
    source = opened()
    batcher = MicroBatcher(source, MicroBatching(max_batch=3, max_wait_seconds=0.01))
    texts = ["a", "bb", "ccc", "dddd", "eeeee"]
    answers = await gather_all(batcher.reward([rollout(text)]) for text in texts)
    assert source.batches == [["a", "bb", "ccc"], ["dddd", "eeeee"]]
    scores = [answer[0].scores for answer in answers]
    assert scores == [StepScores(values=(1 / len(text),)) for text in texts]


async def test_a_long_list_keeps_its_order() -> None:
    batcher = MicroBatcher(opened(), MicroBatching(max_batch=4, max_wait_seconds=0.0))
    rollouts = [rollout("x" * size) for size in range(1, 30)]
    rewards = await batcher.reward(rollouts)
    assert [reward.scores for reward in rewards] == [
        StepScores(values=(1 / size,)) for size in range(1, 30)
    ]
    assert await batcher.reward([]) == []


async def test_equal_rollouts_are_rewarded_once_now_and_later() -> None:
    source = SlowSource()
    batcher = MicroBatcher(source)
    first = asyncio.create_task(batcher.reward([rollout("a"), rollout("a")]))
    second = asyncio.create_task(batcher.reward([rollout("a")]))
    await settle()
    source.gate.set()
    rewards = [*await first, *await second, *await batcher.reward([rollout("a")])]
    assert len({id(reward) for reward in rewards}) == 1
    assert source.batches == [["a"]]
    counters = batcher.counters
    assert (counters.num_requests, counters.num_shared, counters.num_cached) == (4, 2, 1)
    assert counters.num_in_queue == 0


async def test_what_differs_in_problem_steps_or_end_is_not_equal() -> None:
    source = opened()
    batcher = MicroBatcher(source)
    text = "a\n\nb"
    cut = read_completion(PROBLEM, text, separator="\n\n", is_truncated=True)
    whole = read_completion(PROBLEM, text, separator="#", is_truncated=False)
    other = rollout(text, replace(PROBLEM, answer="1"))
    for one in (cut, whole, other, rollout("ab", PROBLEM)):
        await batcher.reward([replace(one, steps=one.steps[:1])])
    assert len(source.batches) == 4


async def test_failures_are_tried_again_and_scores_are_not() -> None:
    source = opened(failing=frozenset({"bad"}))
    batcher = MicroBatcher(source)
    for _ in range(2):
        await batcher.reward([rollout("bad"), rollout("good")])
    assert source.batches == [["bad", "good"], ["bad"]]
    assert batcher.counters.num_incomplete == 2


async def test_the_oldest_rewards_are_forgotten_first() -> None:
    source = opened()
    batcher = MicroBatcher(source, MicroBatching(cache_size=2, max_wait_seconds=0.0))
    for text in ("a", "bb", "a", "ccc", "a", "bb"):
        await batcher.reward([rollout(text)])
    assert source.batches == [["a"], ["bb"], ["ccc"], ["bb"]]


async def test_no_cache_remembers_nothing() -> None:
    source = opened()
    batcher = MicroBatcher(source, MicroBatching(cache_size=0, max_wait_seconds=0.0))
    for _ in range(2):
        await batcher.reward([rollout("a")])
    assert source.batches == [["a"], ["a"]]


async def test_the_queue_is_bounded_and_says_so() -> None:
    source = SlowSource()
    batcher = MicroBatcher(source, MicroBatching(max_queue=2, max_batch=1))
    assert batcher.has_room(2)
    assert not batcher.has_room(3)
    task = asyncio.create_task(batcher.reward([rollout("x" * size) for size in range(1, 5)]))
    await settle()
    assert batcher.counters.num_in_queue == 2
    assert not batcher.has_room()
    assert source.batches == [["x"], ["xx"]]
    source.gate.set()
    assert len(await task) == 4
    assert batcher.has_room(2)


async def test_who_gives_up_takes_nothing_from_the_others() -> None:
    source = SlowSource()
    batcher = MicroBatcher(source, MicroBatching(max_queue=1, max_wait_seconds=0.0))
    impatient = asyncio.create_task(batcher.reward([rollout("a")]))
    await settle()
    patient = asyncio.create_task(batcher.reward([rollout("a")]))
    outside = asyncio.create_task(batcher.reward([rollout("bb")]))
    await settle()
    impatient.cancel()
    outside.cancel()
    await settle()
    source.gate.set()
    assert len(await patient) == 1
    assert source.batches == [["a"]]
    assert len(await batcher.reward([rollout("bb")])) == 1
    assert batcher.counters.num_in_queue == 0


async def test_an_error_reaches_everybody_who_waits_and_is_not_remembered() -> None:
    source = opened(error=ConfigurationError("no such model"))
    batcher = MicroBatcher(source)
    tasks = [asyncio.create_task(batcher.reward([rollout(text)])) for text in ("a", "a", "bb")]
    for task in tasks:
        with pytest.raises(ConfigurationError, match="no such model"):
            await task
    source.error = None
    assert len(await batcher.reward([rollout("a")])) == 1
    assert batcher.counters.num_in_queue == 0


async def test_what_is_forgotten_is_asked_for_again_even_while_under_way() -> None:
    source = SlowSource()
    batcher = MicroBatcher(source, MicroBatching(max_wait_seconds=0.0))
    before = asyncio.create_task(batcher.reward([rollout("a")]))
    await asyncio.sleep(0.01)
    batcher.forget()
    after = asyncio.create_task(batcher.reward([rollout("a")]))
    await asyncio.sleep(0.01)
    source.gate.set()
    await before
    await after
    await batcher.reward([rollout("a")])
    assert source.batches == [["a"], ["a"]]


async def test_closing_finishes_what_is_queued_and_refuses_more() -> None:
    source = SlowSource()
    batcher = MicroBatcher(source, MicroBatching(max_wait_seconds=60.0, max_queue=1))
    queued = asyncio.create_task(batcher.reward([rollout("a")]))
    await settle()
    outside = asyncio.create_task(batcher.reward([rollout("bb")]))
    await settle()
    source.gate.set()
    await batcher.close()
    assert len(await queued) == 1
    for late in (outside, batcher.reward([rollout("ccc")])):
        with pytest.raises(EngineError, match="closed"):
            await late


async def test_no_request_is_lost_under_load() -> None:
    source = opened()
    batcher = MicroBatcher(source, MicroBatching(max_batch=16, max_queue=50))
    answers = await gather_all(
        batcher.reward([rollout("x" * (1 + index % 97))]) for index in range(1000)
    )
    for index, (reward,) in enumerate(answers):
        assert reward.scores == StepScores(values=(1 / (1 + index % 97),))
    assert sum(map(len, source.batches)) == 97


@pytest.mark.parametrize(
    "settings",
    [{"max_batch": 0}, {"max_queue": 0}, {"cache_size": -1}, {"max_wait_seconds": -1.0}],
)
def test_impossible_settings_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(settings))):
        MicroBatching(**settings)
