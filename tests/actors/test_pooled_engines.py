"""Engines behind a pool, and where they are placed."""

from __future__ import annotations

from typing import Any

import pytest

from actors.placement import Placement
from actors.pooled_engines import PooledGenerator, PooledJudge, PooledScorer
from prm_search.errors import ConfigurationError
from prm_search.fakes import FakeGenerator, FakeJudge, FakeScorer
from prm_search.protocols import Generator, Judge, Scorer, Until
from prm_search.types import Problem, Step, Trajectory
from tests.actors.replicas import LocalReplica, pool_of


def trajectory(problem_id: str, *texts: str) -> Trajectory:
    return Trajectory(
        problem=Problem(id=problem_id, prompt="How many?"),
        steps=tuple(Step(text=f"{text}\n\n") for text in texts),
    )


async def test_pooled_engines_answer_as_the_engines_do() -> None:
    generator = PooledGenerator(await pool_of(*(LocalReplica(FakeGenerator()) for _ in "ab")))
    scorer = PooledScorer(await pool_of(*(LocalReplica(FakeScorer()) for _ in "ab")))
    judge = PooledJudge(await pool_of(LocalReplica(FakeJudge())))
    assert isinstance(generator, Generator)
    assert isinstance(scorer, Scorer)
    assert isinstance(judge, Judge)
    options: Any = {"num_samples": 3, "until": Until.STEP, "seed": 1, "temperature": 0.5}
    assert await generator.generate(trajectory("p"), **options) == await FakeGenerator().generate(
        trajectory("p"), **options
    )
    mixed = [trajectory(name, "add", "guess") for name in "abacab"]
    scoring, expected = await scorer.score(mixed), await FakeScorer().score(mixed)
    assert scoring.scores == expected.scores
    assert scoring.usage.scored_tokens == expected.usage.scored_tokens
    assert scorer.counters.num_requests == 3
    assert (await scorer.score([])).scores == ()
    judgement = await judge.judge(mixed[0], num_votes=2, seed=0)
    assert judgement == await FakeJudge().judge(mixed[0], num_votes=2, seed=0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"replicas": 0},
        {"max_queue": 0},
        {"num_gpus": -1.0},
        {"num_gpus": 1.5},
        {"num_gpus": 0.5, "tensor_parallel_size": 2},
        {"max_retries": -1},
    ],
)
def test_impossible_placements_are_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        Placement(**wrong)


def test_a_replica_takes_the_gpus_of_all_its_ranks() -> None:
    assert Placement(num_gpus=1, tensor_parallel_size=4).gpus_per_replica == 4
    assert Placement(num_gpus=0.4).gpus_per_replica == pytest.approx(0.4)
