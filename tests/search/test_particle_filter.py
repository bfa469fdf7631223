from __future__ import annotations

from typing import Any

import pytest

from prm_search.aggregation import Aggregation
from prm_search.budget import UNLIMITED, Budget
from prm_search.errors import ConfigurationError
from prm_search.fakes import FakeGenerator, FakeGrader, FakeScorer, is_flawed
from prm_search.search import ParticleFiltering
from prm_search.types import Problem, SearchResult, SearchStop
from prm_search.voting import Selection
from tests.search.scripted import (
    ScriptedGenerator,
    ScriptedScorer,
    best_text,
    candidate_texts,
    end,
    kept_texts,
    run,
)


async def test_particles_survive_as_their_odds_say() -> None:
    # odds 9, 1, 1/9 and 1/9: of four systematic draws the first gets 3 or 4 (3.52)
    script = {"": ["a;", "b;", "c;", "d;"], "a;": [end(1)] * 4, "b;": [end(2)]}
    scores = {"a;": 0.9, "b;": 0.5, "c;": 0.1, "d;": 0.1, end(1): 0.5, end(2): 0.5}
    generator = ScriptedGenerator(script)
    await run(ParticleFiltering(num_particles=4), generator, ScriptedScorer(scores))
    assert generator.calls[1][:2] in {("a;", 3), ("a;", 4)}
    assert sum(count for _, count, _ in generator.calls[1:]) == 4


async def test_a_solution_that_has_ended_stays_and_costs_nothing_more() -> None:
    script = {"": [end(1), "a;"], "a;": ["b;"], "a;b;": [end(2)]}
    scores = {end(1): 0.5, "a;": 0.5, "b;": 0.5, end(2): 0.5}
    generator = ScriptedGenerator(script)
    algorithm = ParticleFiltering(num_particles=2, aggregation=Aggregation.last)
    result = await run(algorithm, generator, ScriptedScorer(scores))
    assert [(text, count) for text, count, _ in generator.calls] == [
        ("", 2),
        ("a;", 1),
        ("a;b;", 1),
    ]
    assert candidate_texts(result) == [end(1), "a;b;" + end(2)]
    assert result.stop_reason is SearchStop.FINISHED


async def test_the_filter_ends_when_all_particles_are_the_same_solution() -> None:
    script = {"": [end(1), "a;", "b;"]}
    scores = {end(1): 0.999, "a;": 0.01, "b;": 0.01}
    generator = ScriptedGenerator(script)
    result = await run(ParticleFiltering(num_particles=3), generator, ScriptedScorer(scores))
    assert len(generator.calls) == 1
    assert kept_texts(result) == [end(1)]
    assert best_text(result) == end(1)


async def test_particles_stay_while_their_effective_sample_size_is_high() -> None:
    # odds 1 and 3: the effective sample size is 1 / (1/16 + 9/16) = 1.6 of 2
    script = {"": ["a;", "b;"], "a;": [end(1)] * 2, "b;": [end(2)] * 2}
    scores = {"a;": 0.5, "b;": 0.75, end(1): 0.5, end(2): 0.5}
    for resample_below, is_resampled in [(0.79, False), (0.81, True)]:
        calls: set[tuple[tuple[str, int], ...]] = set()
        for seed in range(20):
            generator = ScriptedGenerator(script)
            await ParticleFiltering(num_particles=2, resample_below=resample_below)(
                Problem(id=str(seed), prompt="?"),
                generator=generator,
                scorer=ScriptedScorer(scores),
                grader=FakeGrader(),
                budget=UNLIMITED,
                seed=0,
            )
            calls.add(tuple((text, count) for text, count, _ in generator.calls[1:]))
        one_each, twice_b = (("a;", 1), ("b;", 1)), (("b;", 2),)
        assert calls == ({one_each, twice_b} if is_resampled else {one_each})


async def test_weights_gather_until_particles_are_resampled() -> None:
    # 3 to 1 after one step leaves 1.6 of 2; 9 to 1 after two leaves 1.22 of 2
    script = {"": ["a;", "b;"], "a;": ["c;"], "b;": ["d;"], "b;d;": [end(1)] * 2}
    script |= {"a;c;": [end(2)]}
    scores = {"a;": 0.5, "b;": 0.75, "c;": 0.5, "d;": 0.75, end(1): 0.5, end(2): 0.5}
    generator = ScriptedGenerator(script)
    algorithm = ParticleFiltering(
        num_particles=2, resample_below=0.65, aggregation=Aggregation.last
    )
    await run(algorithm, generator, ScriptedScorer(scores))
    assert [(text, count) for text, count, _ in generator.calls] in (
        [("", 2), ("a;", 1), ("b;", 1), ("b;d;", 2)],
        [("", 2), ("a;", 1), ("b;", 1), ("a;c;", 1), ("b;d;", 1)],
    )


async def test_a_particle_without_a_score_does_not_survive_beside_one_that_has() -> None:
    script = {"": ["a;", "b;"], "b;": [end(1), end(2)]}
    scores = {"b;": 0.01, end(1): 0.5, end(2): 0.5}
    generator = ScriptedGenerator(script)
    result = await run(ParticleFiltering(num_particles=2), generator, ScriptedScorer(scores))
    assert [(text, count) for text, count, _ in generator.calls] == [("", 2), ("b;", 2)]
    assert kept_texts(result) == ["b;", end(1), end(2)]


async def test_particles_without_any_score_go_on() -> None:
    script = {"": ["a;", "b;"], "a;": [end(1)] * 2, "b;": [end(2)] * 2}
    generator = ScriptedGenerator(script)
    result = await run(ParticleFiltering(num_particles=2), generator, ScriptedScorer({}))
    assert result.ledger.num_generations == 4
    assert result.best is None


async def test_a_particle_that_outgrows_the_context_is_replaced_by_others() -> None:
    script = {"": ["a;", "b;"], "a;": ["too long"], "b;": ["c;"], "b;c;": [end(1), end(1)]}
    scores = {"a;": 0.5, "b;": 0.5, "c;": 0.5, end(1): 0.5}
    generator = ScriptedGenerator(script)
    result = await run(ParticleFiltering(num_particles=2), generator, ScriptedScorer(scores))
    assert generator.calls[-1][:2] == ("b;c;", 2)
    assert len(result.candidates) == 2


def flawed_share(result: SearchResult) -> float:
    """The share of second steps whose first step is flawed."""
    tree = result.tree
    second = [node for node in tree.nodes if tree.depth(node) == 2]
    paths = [tree.path_to(node) for node in second]
    return sum("guess" in path[1].text for path in paths) / len(paths)


async def test_the_particles_follow_the_target_distribution() -> None:
    """P(first step flawed) is prior times odds: .3 / 9 against .7 * 9."""
    error_rate, num_particles = 0.3, 600
    scorer = FakeScorer(noise=0.0)
    shares = []
    for aggregation in (Aggregation.last, Aggregation.min):
        result = await ParticleFiltering(
            num_particles=num_particles, aggregation=aggregation, selection=Selection.argmax
        )(
            Problem(id="p", prompt="?"),
            generator=FakeGenerator(num_steps=2, error_rate=error_rate),
            scorer=scorer,
            grader=FakeGrader(),
            budget=UNLIMITED,
            seed=5,
        )
        shares.append(flawed_share(result))
    expected = (error_rate / 9) / (error_rate / 9 + (1 - error_rate) * 9)
    assert shares == pytest.approx([expected] * 2, abs=3 / num_particles)


async def test_a_prm_that_knows_little_changes_the_distribution_little() -> None:
    """Odds of 1.5 and 1 / 1.5 make 9 to 4 of 1 to 1."""
    script = {"": ["a;", "b;"] * 200, "a;": [end(1)] * 400, "b;": [end(2)] * 400}
    scores = {"a;": 0.6, "b;": 0.4, end(1): 0.5, end(2): 0.5}
    generator = ScriptedGenerator(script)
    await run(ParticleFiltering(num_particles=400), generator, ScriptedScorer(scores))
    num_a = sum(count for text, count, _ in generator.calls if text == "a;")
    assert num_a / 400 == pytest.approx(9 / 13, abs=1 / 400)


async def test_a_budget_stops_the_search_between_depths() -> None:
    result = await ParticleFiltering(num_particles=8)(
        Problem(id="p", prompt="?"),
        generator=FakeGenerator(),
        scorer=FakeScorer(),
        grader=FakeGrader(),
        budget=Budget(max_generations=9),
        seed=0,
    )
    assert result.ledger.num_generations == 16
    assert result.stop_reason is SearchStop.BUDGET
    assert result.best is not None
    assert not any(is_flawed(step) for step in result.best.trajectory.steps)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_particles", 0),
        ("max_steps", 0),
        ("resample_below", 0.0),
        ("resample_below", 1.5),
        ("resample_below", float("nan")),
    ],
)
def test_impossible_settings_are_refused(name: str, value: float) -> None:
    settings: dict[str, Any] = {name: value}
    with pytest.raises(ConfigurationError, match=f"ParticleFiltering: {name}"):
        ParticleFiltering(**settings)


async def test_a_missing_scorer_is_named_with_a_remedy() -> None:
    with pytest.raises(ConfigurationError, match="ParticleFiltering needs a PRM"):
        await run(ParticleFiltering(), ScriptedGenerator({}), None)
