"""The arithmetic behind the benchmark's figures, by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.efficiency_figures import (
    Clocks,
    PlainRates,
    ScoredTokens,
    clock_figures,
    compare,
    comparison_figures,
    lock_step_figures,
    majority_at_tokens,
    token_figures,
)
from benchmarks.efficiency_methods import methods
from benchmarks.idleness import BusyClock
from benchmarks.lock_step import LockStep
from benchmarks.search_efficiency import Plan
from prm_search.controller import run_search
from prm_search.fakes import FakeGenerator, FakeGrader, FakeScorer
from prm_search.protocols import SearchAlgorithm
from prm_search.store import RecordKey, RunStore
from prm_search.types import Problem

NUM_PROBLEMS = 6


def pool(*answers: str | None, tokens: int = 10) -> dict[str, object]:
    """A record of samples with these answers; "1" is right."""
    return {
        "problem": "p",
        "candidates": [
            {"answer": answer, "is_correct": answer == "1", "num_tokens": tokens}
            for answer in answers
        ],
    }


def search(is_correct: bool, tokens: int) -> dict[str, object]:
    """A record of a search."""
    return {
        "problem": "p",
        "is_correct": is_correct,
        "usage": {"policy": {"generated_tokens": tokens}},
    }


def test_majority_gets_at_least_as_many_tokens_as_the_search() -> None:
    votes = pool("2", "1", "1", "2", "2")
    assert majority_at_tokens(votes, 10) == (False, 10)
    assert majority_at_tokens(votes, 21) == (True, 30)
    assert majority_at_tokens(votes, 50) == (False, 50)
    assert majority_at_tokens(votes, 1_000) == (False, 50), "all that there are"


def test_a_tie_goes_to_the_answer_that_came_first() -> None:
    assert majority_at_tokens(pool("1", "2"), 20) == (True, 20)
    assert majority_at_tokens(pool("2", "1"), 20) == (False, 20)


def test_samples_without_an_answer_cost_but_do_not_vote() -> None:
    assert majority_at_tokens(pool(None, None, "1"), 30) == (True, 30)
    assert majority_at_tokens(pool(None), 10) == (False, 10)


def test_a_comparison_pairs_problems_and_seeds() -> None:
    def run(
        seed: int, right: bool
    ) -> tuple[int, Sequence[dict[str, object]], Sequence[dict[str, object]]]:
        return seed, [search(right, 15)], [pool("2", "1", "1")]

    compared = compare([run(0, True), run(1, False)])
    assert compared.method == {("p", 0): True, ("p", 1): False}
    assert compared.majority == {("p", 0): False, ("p", 1): False}
    assert (compared.method_tokens, compared.majority_tokens) == (30, 40)
    assert compared.num_short == 0


def test_a_pool_that_is_too_small_is_said() -> None:
    compared = compare([(0, [search(True, 35)], [pool("2", "1", "1")])])
    assert comparison_figures(compared)["majority_short_share"] == 1.0


def test_the_bound_adds_half_a_block_per_scored_step() -> None:
    counted = ScoredTokens(new=1_000, num_steps=10, computed=1_100, recomputed=9_000)
    assert counted.bound == 1_000 + 10 * 16
    assert counted.limit == pytest.approx(1.05 * 1_160)
    found = token_figures(counted)
    assert found["prm_tokens_over_limit"] == pytest.approx(1_100 / (1.05 * 1_160))
    assert found["prm_tokens_cached"] == 7_900


def test_wall_time_is_beside_that_of_the_same_tokens_in_plain_batches() -> None:
    rates = PlainRates(generation=1_000.0, scoring=500.0)
    tokens = {"generated": 4_000, "scored": 1_000}
    clocks = Clocks(wall=3.0, controller=0.25, ray=0.1, policy_idle=1.0, prm_idle=2.0)
    found = clock_figures(clocks + clocks, rates, **tokens, has_prm=True)
    assert (found["plain_seconds"], found["plain_generation_seconds"]) == (6.0, 4.0)
    assert found["wall_ratio"] == 1.0
    assert found["controller_share"] == pytest.approx(0.5 / 6)
    assert found["ray_share"] == pytest.approx(0.2 / 6)
    assert (found["policy_idle_share"], found["prm_idle_share"]) == pytest.approx((1 / 3, 2 / 3))
    assert "prm_idle_share" not in clock_figures(clocks, rates, **tokens, has_prm=False)


def test_an_engine_is_idle_while_it_has_no_request() -> None:
    now = 0.0
    clock = BusyClock(clock=lambda: now)
    with clock.request():
        now = 1.0
        with clock.request():
            now = 2.0
        now = 3.0
    now = 6.0
    with clock.request():
        now = 7.0
    assert clock.seconds == 4.0
    assert clock.idle_share(8.0) == 0.5


def test_lock_step_is_beside_the_search_itself() -> None:
    records = [
        {"is_correct": answer == "1", "answer": answer, "usage": {"prm": {"scored_tokens": 50}}}
        for answer in ("1", "2")
    ]
    clocks = Clocks(wall=7.0, controller=0.1, ray=0.0, policy_idle=3.5, prm_idle=0.7)
    found = lock_step_figures(2.0, clocks, records, [records[0], {**records[1], "answer": "1"}])
    assert found["lock_step.same_answers"] == 0.5
    assert found["lock_step.times_faster"] == 3.5
    assert found["lock_step.policy_idle_share"] == 0.5
    assert found["lock_step.prm_idle_share"] == pytest.approx(0.1)
    assert (found["lock_step.accuracy"], found["lock_step.prm_tokens_computed"]) == (0.5, 100)


def test_more_samples_come_with_fewer_problems_and_another_name() -> None:
    plan = Plan(methods=[], lock_step=[], num_samples=[16, 64, 256], num_problems=100, num_seeds=1)
    assert [plan.problems_at(num) for num in plan.num_samples] == [100, 25, 6]
    assert [plan.key("beam", num) for num in (16, 64)] == ["beam", "beam@64"]


@pytest.mark.parametrize("num_samples", [16, 64, 256])
def test_every_search_can_be_had_with_every_number_of_samples(num_samples: int) -> None:
    assert len(methods(num_samples)) == 13


async def results(algorithm: SearchAlgorithm, folder: Path) -> bytes:
    problems = [Problem(id=f"p{i}", prompt="how many", answer="12") for i in range(NUM_PROBLEMS)]
    with RunStore(folder) as store:
        totals = await run_search(
            problems,
            algorithm=algorithm,
            name="search",
            generator=FakeGenerator(num_extra_steps=2, latency=0.002),
            scorer=FakeScorer(latency=0.002),
            grader=FakeGrader(),
            store=store,
        )
        assert totals.num_failed == 0
        keys = [RecordKey("search", problem.id, 0) for problem in problems]
        return store.write_results(keys).read_bytes()


@pytest.mark.parametrize("name", ["beam", "dvts", "rebase", "mcts", "adaptive_best_of_n"])
async def test_lock_step_changes_no_result(name: str, tmp_path: Path) -> None:
    algorithm = methods(16)[name]
    free = await results(algorithm, tmp_path / "free")
    assert await results(LockStep(algorithm=algorithm), tmp_path / "lock_step") == free


async def test_a_beam_takes_two_rounds_for_each_depth_of_the_longest_solution(
    tmp_path: Path,
) -> None:
    algorithm = LockStep(algorithm=methods(16)["beam"])
    await results(algorithm, tmp_path)
    assert algorithm.barrier.num_rounds == 2 * 6, "up to 4 + 2 steps; generation, then scoring"
