from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest

from prm_search.aggregation import Aggregation
from prm_search.budget import UNLIMITED, Budget
from prm_search.errors import ConfigurationError
from prm_search.fakes import FakeGenerator, FakeGrader, FakeScorer
from prm_search.search import ParticleGibbs
from prm_search.search.exploration import Exploration
from prm_search.search.particle_gibbs import retain
from prm_search.search.particles import Particle, ParticleFilter
from prm_search.search.weights import draw_independent
from prm_search.types import Problem, SearchResult, SearchStop
from tests.search.scripted import ScriptedGenerator, ScriptedScorer, end, run

PROBLEM = Problem(id="p", prompt="What is six plus six?", answer="12")


async def test_each_run_draws_new_samples_beside_the_retained_one() -> None:
    generator = ScriptedGenerator({"": [end(number) for number in range(20)]})
    scorer = ScriptedScorer({end(number): 0.5 for number in range(20)})
    result = await run(ParticleGibbs(num_particles=4, num_iterations=3), generator, scorer)
    # all end at once: four at first, then three beside the one that is retained
    assert [count for _, count, _ in generator.calls] == [4, 3, 3]
    assert len({seed for *_, seed in generator.calls}) == 3
    assert len(result.candidates) == 10
    assert result.stop_reason is SearchStop.FINISHED


async def test_free_particles_branch_off_from_the_retained_one() -> None:
    # one good beginning, found by the first run alone, to which the second run comes back
    script = {"": ["a;", "b;", "c;"], "a;": [end(1), end(2), end(3)]}
    script |= {"b;": [end(4)] * 3, "c;": [end(5)] * 3}
    scores = {"a;": 0.9999, "b;": 0.0001, "c;": 0.0001}
    scores |= {end(number): 0.5 for number in range(6)}
    generator = ScriptedGenerator(script)
    algorithm = ParticleGibbs(num_particles=2, num_iterations=2, aggregation=Aggregation.last)
    result = await run(algorithm, generator, ScriptedScorer(scores))
    assert [(text, count) for text, count, _ in generator.calls] == [
        ("", 2),
        ("a;", 2),
        ("", 1),  # c, which does not survive
        ("a;", 1),  # a new sample, not one of those that are there
    ]
    seeds = [seed for text, _, seed in generator.calls if text == "a;"]
    assert len(set(seeds)) == 2
    assert len(result.candidates) == 3


async def test_the_retained_particle_goes_its_way_unchanged() -> None:
    exploration = Exploration(
        PROBLEM, generator=FakeGenerator(), scorer=FakeScorer(), budget=UNLIMITED, seed=0
    )
    particles = ParticleFilter(
        exploration=exploration,
        num_particles=4,
        max_steps=10,
        aggregation=Aggregation.product,
        draw=draw_independent,
    )
    first = await particles.run(1)
    assert len(first) == 4
    retained = Particle(lineage=first[2].lineage)
    second = await particles.run(2, retained=retained)
    assert len(second) == 4
    assert second[-1].lineage == retained.lineage
    paths = [particle.leaf.path for particle in (*first, *second[:-1])]
    assert len(set(paths)) >= 6
    for particle in (*first, *second):
        steps = [leaf.trajectory.steps for leaf in particle.lineage]
        assert [len(each) for each in steps] == list(range(len(steps)))
        assert all(after[:-1] == before for before, after in pairwise(steps))


async def share_retained(
    choices: list[str],
    scores: dict[str, float],
    first_step: str,
    *,
    num_iterations: int,
    num_particles: int = 2,
    num_chains: int = 400,
) -> float:
    """How often the last run retains a solution with a certain first step.

    Args:
        choices: first steps, equally likely; those with ";" at their end have a second one.
        scores: of steps.
        first_step: whose share is asked for.
        num_iterations: runs of each chain.
        num_particles: of each run.
        num_chains: with random numbers of their own.
    """
    num_found = 0
    for chain in range(num_chains):
        rng = random.Random(chain)
        script = {"": rng.choices(choices, k=num_particles * num_iterations)}
        script |= {"a;": [end(1)] * 100, "b;": [end(2)] * 100}
        particles = ParticleFilter(
            exploration=Exploration(
                PROBLEM,
                generator=ScriptedGenerator(script),
                scorer=ScriptedScorer(scores),
                budget=UNLIMITED,
                seed=0,
            ),
            num_particles=num_particles,
            max_steps=4,
            aggregation=Aggregation.last,
            draw=draw_independent,
        )
        retained = None
        for _ in range(num_iterations):
            found = await particles.run(rng.getrandbits(31), retained=retained)
            retained = retain(found, rng)
        assert retained is not None
        num_found += retained.lineage[1].trajectory.text == first_step
    return num_found / num_chains


async def test_runs_come_ever_closer_to_the_target_distribution() -> None:
    """The target is .5 / 3 against .5 * 3: a tenth. One run of two particles gives .3."""
    scores = {"a;": 0.75, "b;": 0.25, end(1): 0.5, end(2): 0.5}
    first, eighth = [
        await share_retained(["a;", "b;"], scores, "b;", num_iterations=num) for num in (1, 8)
    ]
    assert first == pytest.approx(0.3, abs=0.07)
    assert eighth == pytest.approx(0.1, abs=0.045)


@pytest.mark.parametrize("num_particles", [2, 4])
async def test_a_prm_that_knows_nothing_prefers_neither_short_nor_long_solutions(
    num_particles: int,
) -> None:
    scores = {end(9): 0.5, "b;": 0.5, end(2): 0.5}
    share = await share_retained(
        [end(9), "b;"], scores, end(9), num_iterations=6, num_particles=num_particles
    )
    assert share == pytest.approx(0.5, abs=0.075)


async def test_a_budget_ends_the_run_in_progress_and_those_to_come() -> None:
    algorithm = ParticleGibbs(num_particles=4, num_iterations=10)

    async def searched(budget: Budget) -> SearchResult:
        return await algorithm(
            PROBLEM,
            generator=FakeGenerator(),
            scorer=FakeScorer(),
            grader=FakeGrader(),
            budget=budget,
            seed=0,
        )

    result = await searched(Budget(max_generations=25))
    assert 25 <= result.ledger.num_generations < 29
    assert result.stop_reason is SearchStop.BUDGET
    assert (await searched(UNLIMITED)).ledger.num_generations > 100


@pytest.mark.parametrize(
    ("name", "value"),
    [("num_particles", 1), ("num_iterations", 1), ("max_steps", 0)],
)
def test_impossible_settings_are_refused(name: str, value: int) -> None:
    settings: dict[str, Any] = {name: value}
    with pytest.raises(ConfigurationError, match=f"ParticleGibbs: {name}"):
        ParticleGibbs(**settings)


def test_a_single_run_is_refused_with_what_to_take_instead() -> None:
    with pytest.raises(ConfigurationError, match="search=particle_filter"):
        ParticleGibbs(num_iterations=1)


async def test_a_missing_scorer_is_named_with_a_remedy() -> None:
    with pytest.raises(ConfigurationError, match="ParticleGibbs needs a PRM"):
        await run(ParticleGibbs(), ScriptedGenerator({}), None)
