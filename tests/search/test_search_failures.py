from __future__ import annotations

from collections.abc import Sequence

import pytest

from prm_search.budget import UNLIMITED
from prm_search.errors import ContextLengthError, EngineError, ScoringError
from prm_search.fakes import FakeGenerator, FakeGrader, FakeScorer
from prm_search.protocols import SearchAlgorithm, Until
from prm_search.search import (
    DVTS,
    MCTS,
    AdaptiveBestOfN,
    BeamSearch,
    BestOfN,
    LookaheadBeamSearch,
    ParticleFiltering,
    ParticleGibbs,
    Rebase,
    StepGreedy,
)
from prm_search.types import Generation, Scoring, StepScores, Trajectory, Usage
from prm_search.voting import Selection
from tests.search.scripted import (
    PROBLEM,
    ScriptedGenerator,
    ScriptedScorer,
    best_text,
    candidate_texts,
    end,
    kept_texts,
    run,
)

ALGORITHMS = [
    BestOfN(num_samples=4),
    BeamSearch(num_beams=4, num_expansions=2),
    DVTS(num_subtrees=2, num_expansions=2),
    StepGreedy(num_expansions=4),
    Rebase(num_samples=4),
    ParticleFiltering(num_particles=4),
    MCTS(num_simulations=1, num_expansions=4, max_concurrent=1),
    LookaheadBeamSearch(num_beams=4, num_expansions=2),
    AdaptiveBestOfN(max_samples=4, confidence=0.96),
]
BEAM = BeamSearch(num_beams=4, num_expansions=2, selection=Selection.argmax)
every_algorithm = pytest.mark.parametrize("algorithm", ALGORITHMS, ids=lambda a: type(a).__name__)


@every_algorithm
async def test_an_empty_sample_at_the_root_is_dropped_and_recorded(
    algorithm: SearchAlgorithm,
) -> None:
    script = {"": ["  ", end(1), "nothing", end(2)]}
    scores = {end(1): 0.5, end(2): 0.4}
    scorer = ScriptedScorer(scores)
    result = await run(algorithm, ScriptedGenerator(script), scorer)
    assert candidate_texts(result) == [end(1), end(2)]
    assert best_text(result) == end(1)
    failures = [node.failure for node in result.tree.nodes[1:]]
    assert [failure and failure.split(":")[0] for failure in failures] == [
        "EmptyStepError",
        None,
        "EmptyStepError",
        None,
    ]
    assert [node.is_kept for node in result.tree.nodes if node.failure] == [False, False]
    assert not any(text.isspace() for call in scorer.calls for text in call)
    assert result.ledger.num_generations == 4  # they were paid for


@every_algorithm
async def test_nothing_but_empty_samples_give_no_candidate(algorithm: SearchAlgorithm) -> None:
    result = await run(algorithm, ScriptedGenerator({"": [" "] * 4}), ScriptedScorer({}))
    assert result.best is None
    assert result.candidates == ()
    assert len(result.tree.nodes) == 5


async def test_an_empty_step_further_down_belongs_to_the_step_before() -> None:
    script = {"": ["a;", "b;", "c;", "d;"], "a;": [" ", end(1)], "b;": [end(2), end(3)]}
    scores = {"a;": 0.9, "b;": 0.8, "c;": 0, "d;": 0, end(1): 0.5, end(2): 0.4, end(3): 0.3}
    result = await run(BEAM, ScriptedGenerator(script), ScriptedScorer(scores))
    joined = result.candidates[0]
    assert joined.trajectory.text == "a; "
    assert [len(each.scores.values) for each in result.candidates if each.scores] == [1, 2, 2, 2]
    assert result.tree.nodes[5].text == " "
    assert result.tree.nodes[5].score == 0.9


async def test_a_prefix_that_outgrows_the_context_ends_there_and_the_search_goes_on() -> None:
    script = {"": ["a;", "b;", "c;", "d;"], "a;": ["too long"], "b;": [end(1), end(2)]}
    scores = {"a;": 0.9, "b;": 0.8, "c;": 0.2, "d;": 0.1, end(1): 0.5, end(2): 0.4}
    result = await run(BEAM, ScriptedGenerator(script), ScriptedScorer(scores))
    assert best_text(result) == "b;" + end(1)
    node = result.tree.nodes[1]
    assert node.failure
    assert node.failure.startswith("ContextLengthError: the prefix has 9 tokens")
    assert (node.score, node.is_kept) == (0.9, True)


async def test_a_prefix_that_outgrew_the_context_stands_in_if_nothing_has_ended() -> None:
    script = {"": ["a;", "b;"], "a;": ["too long"]}
    result = await run(
        StepGreedy(num_expansions=2),
        ScriptedGenerator(script),
        ScriptedScorer({"a;": 0.9, "b;": 0.8}),
    )
    assert best_text(result) == "a;"


@every_algorithm
async def test_a_problem_that_does_not_fit_is_an_error(algorithm: SearchAlgorithm) -> None:
    with pytest.raises(ContextLengthError, match="9 tokens"):
        await run(algorithm, ScriptedGenerator({"": ["too long"] * 4}), ScriptedScorer({}))


async def test_a_leaf_that_cannot_be_scored_ranks_last_and_gets_no_number() -> None:
    script = {"": ["a;", "b;", "c;", "d;"], "b;": [end(1), end(2)], "c;": [end(3), end(4)]}
    scores = {"b;": 0.1, "c;": 0.0, end(1): 0.5, end(2): 0.4, end(4): 0.3}
    result = await run(BEAM, ScriptedGenerator(script), ScriptedScorer(scores))
    assert kept_texts(result)[:2] == ["b;", "c;"]
    assert best_text(result) == "b;" + end(1)
    a = result.tree.nodes[1]
    assert (a.score, a.failure) == (None, "ScoringError: the score of step 0 is nan")
    unscored = result.candidates[2]
    assert unscored.trajectory.text == "c;" + end(3)
    assert unscored.scores is None
    assert unscored.failure


async def test_unscored_leaves_fill_places_that_nothing_else_can() -> None:
    script = {"": ["a;", "b;", "c;", "d;"], "d;": [end(1), end(2)], "a;": [end(3), end(4)]}
    scores = {"d;": 0.1, end(1): 0.5, end(2): 0.4}
    result = await run(BEAM, ScriptedGenerator(script), ScriptedScorer(scores))
    assert kept_texts(result)[:2] == ["a;", "d;"]
    assert best_text(result) == "d;" + end(1)


@every_algorithm
async def test_nothing_is_best_if_every_score_failed(algorithm: SearchAlgorithm) -> None:
    result = await run(algorithm, ScriptedGenerator({"": [end(1)] * 4}), ScriptedScorer({}))
    assert result.best is None
    assert len(result.candidates) == 4
    assert all(candidate.failure for candidate in result.candidates)


async def test_step_greedy_passes_over_an_end_that_could_not_be_scored() -> None:
    script = {"": ["a;", end(1)], "a;": [end(2), end(3)]}
    result = await run(
        StepGreedy(num_expansions=2),
        ScriptedGenerator(script),
        ScriptedScorer({"a;": 0.5, end(1): 0.4}),
    )
    assert best_text(result) == end(1)


@pytest.mark.parametrize(
    "algorithm", [*ALGORITHMS, ParticleGibbs(), MCTS()], ids=lambda a: type(a).__name__
)
@pytest.mark.parametrize("call", [0, 1, 2])
async def test_an_engine_that_fails_is_an_error(algorithm: SearchAlgorithm, call: int) -> None:
    failing = frozenset({call})
    for generator, scorer in (
        (FakeGenerator(failing_calls=failing, latency=0.001), FakeScorer()),
        (FakeGenerator(), FakeScorer(failing_calls=failing, latency=0.001)),
        (FakeGenerator(failing_problems=frozenset({"p"})), FakeScorer()),
    ):
        with pytest.raises(EngineError, match="was told to fail"):
            await algorithm(
                PROBLEM,
                generator=generator,
                scorer=scorer,
                grader=FakeGrader(),
                budget=UNLIMITED,
                seed=0,
            )


class _ShortScorer:
    """Leaves out a trajectory, or a step of each."""

    def __init__(self, missing: str) -> None:
        self.missing = missing

    async def score(self, trajectories: Sequence[Trajectory]) -> Scoring:
        fewer_steps = 1 if self.missing == "step" else 0
        scores = [StepScores(values=(0.5,) * (len(t.steps) - fewer_steps)) for t in trajectories]
        return Scoring(scores=tuple(scores if fewer_steps else scores[1:]), usage=Usage())


@every_algorithm
@pytest.mark.parametrize("missing", ["step", "trajectory"])
async def test_scores_that_do_not_fit_are_an_error(
    algorithm: SearchAlgorithm, missing: str
) -> None:
    with pytest.raises(ScoringError, match="of problem 'p'"):
        await algorithm(
            PROBLEM,
            generator=FakeGenerator(),
            scorer=_ShortScorer(missing),
            grader=FakeGrader(),
            budget=UNLIMITED,
            seed=0,
        )


class _ShortGenerator(FakeGenerator):
    async def generate(
        self,
        prefix: Trajectory,
        *,
        num_samples: int,
        until: Until,
        seed: int,
        temperature: float | None = None,
    ) -> Generation:
        return Generation(continuations=(), usage=Usage())


async def test_samples_that_are_missing_are_an_error() -> None:
    with pytest.raises(EngineError, match=r"asked for 4 continuations .* returned 0"):
        await BEAM(
            PROBLEM,
            generator=_ShortGenerator(),
            scorer=FakeScorer(),
            grader=FakeGrader(),
            budget=UNLIMITED,
            seed=0,
        )
