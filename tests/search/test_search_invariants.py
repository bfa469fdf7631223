from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from prm_search.aggregation import Aggregation
from prm_search.budget import UNLIMITED, Budget, Role
from prm_search.fakes import FakeGenerator, FakeGrader, FakeScorer
from prm_search.protocols import SearchAlgorithm
from prm_search.search import (
    DVTS,
    MCTS,
    AdaptiveBestOfN,
    AdaptiveConsistency,
    BeamSearch,
    BestOfN,
    LookaheadBeamSearch,
    ParticleFiltering,
    ParticleGibbs,
    Rebase,
    StepGreedy,
)
from prm_search.search.stopping import Posterior
from prm_search.search.visits import Formula
from prm_search.tree import SearchTree
from prm_search.types import Problem, SearchResult, SearchStop, Usage
from prm_search.voting import Selection

selections = st.sampled_from(Selection)
aggregations = st.sampled_from(Aggregation)
small = st.integers(1, 4)
algorithms: st.SearchStrategy[SearchAlgorithm] = st.one_of(
    st.builds(
        BestOfN,
        num_samples=st.integers(4, 10),
        num_samples_per_round=st.none() | small,
        selection=selections,
        aggregation=aggregations,
    ),
    st.builds(
        lambda places, expansions, steps, aggregation, selection: BeamSearch(
            num_beams=places * expansions,
            num_expansions=expansions,
            max_steps=steps,
            aggregation=aggregation,
            selection=selection,
        ),
        small,
        small,
        st.integers(1, 8),
        aggregations,
        selections,
    ),
    st.builds(
        DVTS,
        num_subtrees=small,
        num_expansions=small,
        max_steps=st.integers(1, 8),
        aggregation=aggregations,
        selection=selections,
    ),
    st.builds(StepGreedy, num_expansions=small, max_steps=st.integers(1, 8)),
    st.builds(
        lambda places, expansions, lookahead, steps, aggregation, selection: LookaheadBeamSearch(
            num_beams=places * expansions,
            num_expansions=expansions,
            num_lookahead_steps=lookahead,
            max_steps=steps,
            aggregation=aggregation,
            selection=selection,
        ),
        small,
        small,
        st.integers(1, 3),
        st.integers(1, 8),
        aggregations,
        selections,
    ),
    st.builds(
        Rebase,
        num_samples=st.integers(1, 10),
        temperature=st.sampled_from([0.001, 0.1, 10.0]),
        max_steps=st.integers(1, 8),
        aggregation=aggregations,
        selection=selections,
    ),
    st.builds(
        ParticleFiltering,
        num_particles=st.integers(1, 10),
        resample_below=st.sampled_from([0.2, 0.5, 1.0]),
        max_steps=st.integers(1, 8),
        aggregation=aggregations,
        selection=selections,
    ),
    st.builds(
        ParticleGibbs,
        num_particles=st.integers(2, 5),
        num_iterations=st.integers(2, 4),
        max_steps=st.integers(1, 8),
        aggregation=aggregations,
        selection=selections,
    ),
    st.builds(
        MCTS,
        num_simulations=st.integers(4, 8),
        num_expansions=small,
        formula=st.sampled_from(Formula),
        exploration_constant=st.sampled_from([0.0, 0.1, 1.0]),
        virtual_loss=st.sampled_from([0.0, 1.0, 3.0]),
        max_concurrent=small,
        max_steps=st.integers(1, 8),
        aggregation=aggregations,
        selection=selections,
    ),
    st.builds(
        AdaptiveConsistency,
        max_samples=st.integers(4, 10),
        confidence=st.sampled_from([0.6, 0.95]),
        posterior=st.sampled_from(Posterior),
    ),
    st.builds(
        AdaptiveBestOfN,
        max_samples=st.integers(4, 10),
        confidence=st.sampled_from([0.6, 0.95]),
        posterior=st.sampled_from(Posterior),
        aggregation=aggregations,
        selection=selections,
    ),
)
PROBLEM = Problem(id="p", prompt="What is six plus six?", answer="12")
ONCE_FROM_THE_ROOT = BeamSearch | StepGreedy | LookaheadBeamSearch | Rebase | ParticleFiltering
"""Those that go down once, all beams side by side."""

rates = st.sampled_from([0.0, 0.1, 0.5])
generators = st.builds(
    FakeGenerator,
    num_steps=st.integers(1, 5),
    num_extra_steps=st.integers(0, 2),
    error_rate=rates,
    truncation_rate=rates,
    empty_rate=rates,
    max_model_len=st.none() | st.integers(10, 40),
)
scorers = st.builds(FakeScorer, failure_rate=rates, noise=st.floats(0, 1))
budgets = st.builds(
    Budget,
    max_generated_tokens=st.none() | st.integers(1, 300),
    max_generations=st.none() | st.integers(1, 40),
    max_scored_tokens=st.none() | st.integers(1, 1000),
)


def most_generations_of_a_round(algorithm: SearchAlgorithm) -> int:
    match algorithm:
        case BestOfN():
            return algorithm.num_samples_per_round or algorithm.num_samples
        case BeamSearch():
            return algorithm.num_beams
        case DVTS():
            return algorithm.num_subtrees * algorithm.num_expansions
        case StepGreedy() | MCTS():
            return algorithm.num_expansions
        case LookaheadBeamSearch():
            return algorithm.num_beams * (1 + algorithm.num_lookahead_steps)
        case Rebase():
            return algorithm.num_samples
        case ParticleFiltering() | ParticleGibbs():
            return algorithm.num_particles
        case AdaptiveConsistency() | AdaptiveBestOfN():
            return 1
        case _:
            raise AssertionError(algorithm)


async def search(
    algorithm: SearchAlgorithm,
    generator: FakeGenerator,
    scorer: FakeScorer,
    *,
    grader: FakeGrader | None = None,
    budget: Budget = UNLIMITED,
    seed: int = 0,
) -> SearchResult:
    return await algorithm(
        PROBLEM,
        generator=generator,
        scorer=scorer,
        grader=grader or FakeGrader(),
        budget=budget,
        seed=seed,
    )


@settings(deadline=None, max_examples=200)
@given(algorithms, generators, scorers, budgets, st.integers(0, 1000))
def test_every_search_keeps_its_promises(
    algorithm: SearchAlgorithm,
    generator: FakeGenerator,
    scorer: FakeScorer,
    budget: Budget,
    seed: int,
) -> None:
    grader = FakeGrader()
    # the same object may be drawn again while an example is made smaller
    generator.usage, scorer.usage = Usage(), Usage()
    result = asyncio.run(
        search(algorithm, generator, scorer, grader=grader, budget=budget, seed=seed)
    )
    ledger, tree = result.ledger, result.tree

    # the ledger is what the parts charged
    assert ledger.of(Role.POLICY) == generator.usage
    assert ledger.of(Role.PRM) == scorer.usage
    assert ledger.of(Role.GRADER).num_calls == grader.num_calls
    assert ledger.of(Role.POLICY).generated_tokens == sum(node.num_tokens for node in tree.nodes)

    # limits are overshot by one round at most
    most = most_generations_of_a_round(algorithm)
    if budget.max_generations is not None:
        assert ledger.num_generations < budget.max_generations + most
    if result.stop_reason is SearchStop.FINISHED and isinstance(algorithm, ONCE_FROM_THE_ROOT):
        steps = max(map(tree.depth, tree.nodes))
        assert ledger.num_generations <= most * steps

    # a candidate has a score for each step, or a reason
    for candidate in result.candidates:
        if candidate.scores is not None:
            assert len(candidate.scores.values) == len(candidate.trajectory.steps)
        assert all(step.content for step in candidate.trajectory.steps)
        assert candidate.scores is None or candidate.failure is None

    # the best is one of the candidates, and its path is marked
    finished = [each for each in result.candidates if each.trajectory.is_finished]
    assert finished == list(result.candidates) or len(result.candidates) == 1
    chosen = [node for node in tree.nodes if node.is_chosen]
    if result.best is None:
        assert chosen == []
    else:
        assert any(candidate is result.best for candidate in result.candidates)
        assert tuple(chosen) == tree.path_to(chosen[-1])
        assert "".join(node.text for node in chosen) == result.best.trajectory.text

    # a failure is never a score
    assert all(node.score is None or 0 <= node.score <= 1 for node in tree.nodes)
    assert type(tree).from_json(tree.to_json()) == tree


@settings(deadline=None, max_examples=60)
@given(algorithms, generators, scorers, budgets, st.integers(0, 1000), st.integers(0, 1000))
def test_no_result_depends_on_what_finishes_first(
    algorithm: SearchAlgorithm,
    generator: FakeGenerator,
    scorer: FakeScorer,
    budget: Budget,
    seed: int,
    latency_seed: int,
) -> None:
    undisturbed = asyncio.run(search(algorithm, generator, scorer, budget=budget, seed=seed))
    late_generator = replace(generator, latency=0.002, latency_seed=latency_seed)
    late_scorer = replace(scorer, latency=0.002, latency_seed=latency_seed + 1)
    delayed = asyncio.run(search(algorithm, late_generator, late_scorer, budget=budget, seed=seed))
    assert delayed == undisturbed
    assert delayed.course == undisturbed.course  # these scorers cache nothing


def explored(tree: SearchTree) -> Counter[tuple[object, ...]]:
    """What was explored: the nodes as the paths that lead to them, and their scores."""
    return Counter((*(each.text for each in tree.path_to(node)), node.score) for node in tree.nodes)


@settings(deadline=None, max_examples=150)
@given(algorithms, generators, scorers, st.integers(1, 60), st.integers(0, 1000))
def test_a_search_that_is_cut_is_the_beginning_of_the_whole(
    algorithm: SearchAlgorithm,
    generator: FakeGenerator,
    scorer: FakeScorer,
    max_generations: int,
    seed: int,
) -> None:
    whole = asyncio.run(search(algorithm, generator, scorer, seed=seed))
    before = Counter[tuple[object, ...]]()
    for limit in (max_generations, max_generations + 5):
        budget = Budget(max_generations=limit)
        cut = asyncio.run(search(algorithm, generator, scorer, budget=budget, seed=seed))
        assert before <= explored(cut.tree) <= explored(whole.tree)
        if cut.stop_reason is SearchStop.FINISHED:
            assert cut == whole
        before = explored(cut.tree)
