from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from prm_search.aggregation import Aggregation
from prm_search.budget import Budget, Role
from prm_search.fakes import FakeGenerator, FakeGrader, FakeScorer
from prm_search.protocols import SearchAlgorithm
from prm_search.search import DVTS, BeamSearch, BestOfN, StepGreedy
from prm_search.types import Problem, SearchStop, Usage
from prm_search.voting import Selection

selections = st.sampled_from(Selection)
aggregations = st.sampled_from(Aggregation)
small = st.integers(1, 4)
algorithms: st.SearchStrategy[SearchAlgorithm] = st.one_of(
    st.builds(
        BestOfN,
        num_samples=st.integers(1, 10),
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
)
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
        case StepGreedy():
            return algorithm.num_expansions
        case _:
            raise AssertionError(algorithm)


@settings(deadline=None, max_examples=200)
@given(algorithms, generators, scorers, budgets, st.integers(0, 1000))
def test_every_search_keeps_its_promises(
    algorithm: SearchAlgorithm,
    generator: FakeGenerator,
    scorer: FakeScorer,
    budget: Budget,
    seed: int,
) -> None:
    problem = Problem(id="p", prompt="What is six plus six?", answer="12")
    grader = FakeGrader()
    # the same object may be drawn again while an example is made smaller
    generator.usage, scorer.usage = Usage(), Usage()
    result = asyncio.run(
        algorithm(
            problem,
            generator=generator,
            scorer=scorer,
            grader=grader,
            budget=budget,
            seed=seed,
        )
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
    if result.stop_reason is SearchStop.FINISHED and not isinstance(algorithm, DVTS | BestOfN):
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
