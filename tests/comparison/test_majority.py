from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prm_search.budget import Role
from prm_search.comparison.arms import Arm, read_arms
from prm_search.comparison.majority import Pool, find_baseline
from prm_search.comparison.measures import POLICY_TOKENS, flops
from prm_search.course import Spending
from prm_search.statistics import majority_at_k
from prm_search.voting import Selection
from tests.comparison.made_runs import RIGHT, Sample, best_of_n, searched, write


def arms_of(
    folder: Path, pools: Mapping[int, Sequence[Sample]], **settings: object
) -> tuple[Arm, ...]:
    """Majority votes on one problem, by seed."""
    directories = [
        write(
            folder / str(seed),
            [
                searched(
                    "p",
                    pool,
                    method="majority",
                    best=None,
                    seed=seed,
                    selection=Selection.majority,
                )
            ],
            best_of_n("majority", len(pool), **settings),
            seed=seed,
        )
        for seed, pool in pools.items()
    ]
    return read_arms(directories)


def pool_of(arms: tuple[Arm, ...]) -> Pool:
    baseline = find_baseline(arms, arms[0].policy)
    assert baseline is not None
    return baseline.pools["p"]


def test_the_vote_is_over_random_subsets_of_the_samples_of_all_seeds(tmp_path: Path) -> None:
    pool = pool_of(
        arms_of(tmp_path, {0: [(RIGHT, None), ("7", None)], 1: [("7", None), (RIGHT, None)]})
    )
    assert pool.num_samples == 4
    # of one sample or two, half are right (the first one breaks a tie)
    assert pool.accuracy[:2] == (pytest.approx(0.5, abs=0.05), pytest.approx(0.5, abs=0.05))


def test_the_same_wrong_answer_of_different_seeds_is_one_answer(tmp_path: Path) -> None:
    three = [("7", None)] * 3 + [(RIGHT, None)] * 2
    pool = pool_of(arms_of(tmp_path, {0: three, 1: [*three, ("8", None)]}))
    assert pool.accuracy[-1] == 0.0


def test_samples_without_an_answer_do_not_vote(tmp_path: Path) -> None:
    pool = pool_of(arms_of(tmp_path, {0: [(None, None), (None, None), (RIGHT, None)]}))
    assert pool.accuracy[-1] == 1.0
    assert pool.accuracy[0] == pytest.approx(1 / 3, abs=0.05)


def test_the_larger_pool_of_a_problem_and_seed_counts(tmp_path: Path) -> None:
    few = arms_of(tmp_path / "few", {0: [(RIGHT, None)] * 2})
    many = arms_of(tmp_path / "many", {0: [("7", None)] * 4})
    baseline = find_baseline([*few, *many], few[0].policy)
    assert baseline is not None
    assert baseline.pools["p"].num_samples == 4
    assert baseline.pools["p"].accuracy[-1] == 0.0


@pytest.mark.parametrize("settings", [{"temperature": 0.0}, {"temperature": 0.3}])
def test_samples_at_another_temperature_are_another_policy(
    tmp_path: Path, settings: dict[str, float]
) -> None:
    usual = arms_of(tmp_path / "usual", {0: [(RIGHT, None)] * 2})
    other = arms_of(tmp_path / "other", {0: [("7", None)] * 4}, **settings)
    baseline = find_baseline([*usual, *other], usual[0].policy)
    assert baseline is not None
    assert baseline.pools["p"].num_samples == 2
    own = find_baseline([*usual, *other], other[0].policy)
    assert own is not None
    # A greedy solution is held against the votes of the policy as it samples otherwise.
    assert own.pools["p"].num_samples == (2 if settings["temperature"] == 0.0 else 4)


@given(st.integers(1, 12), st.integers(1, 1000), st.floats(0, 5000))
def test_as_many_samples_as_cost_at_least_as_much(
    num_samples: int, tokens: int, cost: float
) -> None:
    pool = Pool(
        accuracy=tuple(place / num_samples for place in range(1, num_samples + 1)),
        spent_per_sample=Spending(generated_tokens=tokens * num_samples),
    )
    size = pool.size_for(cost, POLICY_TOKENS)
    assert size >= 1
    assert size * tokens >= cost - 1e-3
    assert size == 1 or (size - 1) * tokens < cost
    assert pool.at(size) == min(size, num_samples) / num_samples


@given(st.lists(st.booleans(), min_size=1, max_size=6), st.integers(0, 5))
def test_a_vote_among_some_samples_is_the_mean_over_all_subsets(
    rights: list[bool], seed: int
) -> None:
    classes = [int(right) for right in rights]
    found = majority_at_k(classes, 1, range(1, len(rights) + 1), seed=seed, num_orders=2000)
    for size, value in enumerate(found, start=1):
        subsets = list(combinations(classes, size))
        # a tie goes to what was drawn first, which is either
        wins = sum(
            1.0 if 2 * sum(each) > size else 0.5 if 2 * sum(each) == size else 0.0
            for each in subsets
        )
        assert value == pytest.approx(wins / len(subsets), abs=0.06)


def test_flops_count_what_both_models_computed() -> None:
    measure = flops({Role.POLICY: 10, Role.PRM: 3})
    assert measure is not None
    spent = Spending(num_generations=1, generated_tokens=7, prompt_tokens=5, scored_tokens=11)
    assert measure.cost(spent) == 2 * (10 * 12 + 3 * 11)
    assert flops({Role.POLICY: 10, Role.PRM: None}) is None
    assert measure.limit(100)(spent, 1)
    assert not measure.limit(1000)(spent, 1)
    assert measure.limit(1000)(spent, 4)  # a quarter each
