from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prm_search.budget import UNLIMITED, Budget, Role
from prm_search.errors import ConfigurationError
from prm_search.fakes import FakeGenerator, FakeGrader, FakeScorer
from prm_search.job import needs_scorer
from prm_search.search import AdaptiveConsistency, BestOfN
from prm_search.search.stopping import Posterior, confidence
from prm_search.types import Generation, Problem, SearchResult, SearchStop
from prm_search.voting import Selection
from tests.search.scripted import ScriptedGenerator, best_text, end, run


def script(*answers: int | None) -> ScriptedGenerator:
    return ScriptedGenerator({"": ["no answer" if a is None else end(a) for a in answers]})


async def num_drawn(algorithm: AdaptiveConsistency, generator: ScriptedGenerator) -> int:
    return (await run(algorithm, generator, None)).ledger.num_generations


async def test_four_samples_that_agree_suffice() -> None:
    result = await run(AdaptiveConsistency(), script(*[7] * 40), None)
    assert result.ledger.num_generations == 4
    assert result.stop_reason is SearchStop.FINISHED
    assert best_text(result) == end(7)


async def test_disagreement_takes_more_samples() -> None:
    # .95 needs 4 to 0, 6 to 1 (.965; 5 to 1 gives .938), …
    assert await num_drawn(AdaptiveConsistency(), script(1, 2, *[1] * 38)) == 7
    assert await num_drawn(AdaptiveConsistency(), script(*[1, 2] * 20)) == 40


async def test_samples_without_an_answer_do_not_vote() -> None:
    assert await num_drawn(AdaptiveConsistency(), script(1, None, 1, None, 1, 1, 1)) == 6
    assert await num_drawn(AdaptiveConsistency(max_samples=5), script(*[None] * 5)) == 5


async def test_equivalent_answers_agree() -> None:
    generator = ScriptedGenerator({"": [end("1/2"), end("0.5"), end("2/4"), end("0.50")]})
    assert await num_drawn(AdaptiveConsistency(max_samples=4, confidence=0.9), generator) == 3


async def test_the_confidence_decides() -> None:
    for required, expected in [(0.7, 1), (0.8, 2), (0.9, 3), (0.97, 5), (0.999, 9)]:
        algorithm = AdaptiveConsistency(confidence=required)
        assert await num_drawn(algorithm, script(*[1] * 40)) == expected


async def test_dirichlet_asks_for_more_where_there_are_more_rivals() -> None:
    answers = [1, 2, 3, 4, 5, *[1] * 35]
    beta = await num_drawn(AdaptiveConsistency(), script(*answers))
    dirichlet = AdaptiveConsistency(posterior=Posterior.dirichlet)
    assert beta < await num_drawn(dirichlet, script(*answers)) < 40


class CountingGenerator(FakeGenerator):
    """Counts the calls at the same time."""

    num_running = 0
    most_running = 0

    async def generate(self, *arguments: Any, **settings: Any) -> Generation:
        self.num_running += 1
        self.most_running = max(self.most_running, self.num_running)
        generation = await super().generate(*arguments, **settings)
        self.num_running -= 1
        return generation


async def test_as_many_are_drawn_side_by_side_as_are_missing() -> None:
    generator = CountingGenerator(error_rate=0.0, latency=0.001)
    result = await AdaptiveConsistency()(
        Problem(id="p", prompt="?"),
        generator=generator,
        scorer=None,
        grader=FakeGrader(),
        budget=UNLIMITED,
        seed=0,
    )
    assert (result.ledger.num_generations, generator.most_running) == (4, 4)


@given(
    st.lists(st.sampled_from([1, 1, 1, 2, 3, None]), min_size=20, max_size=20),
    st.sampled_from([0.6, 0.9, 0.95]),
    st.sampled_from(Posterior),
)
async def test_it_draws_what_it_would_have_drawn_one_by_one(
    answers: list[int | None], required: float, posterior: Posterior
) -> None:
    expected = 20
    for num in range(1, 20):
        votes = Counter(answer for answer in answers[:num] if answer is not None)
        if confidence(list(votes.values()), posterior) >= required:
            expected = num
            break
    algorithm = AdaptiveConsistency(max_samples=20, confidence=required, posterior=posterior)
    assert await num_drawn(algorithm, script(*answers)) == expected


async def search(
    algorithm: AdaptiveConsistency | BestOfN, seed: int, budget: Budget = UNLIMITED
) -> SearchResult:
    return await algorithm(
        Problem(id="p", prompt="?"),
        generator=FakeGenerator(error_rate=0.1),
        scorer=FakeScorer(),
        grader=FakeGrader(),
        budget=budget,
        seed=seed,
    )


async def test_it_sees_a_beginning_of_what_a_majority_vote_sees_and_mostly_agrees() -> None:
    same = 0
    drawn: list[int] = []
    for seed in range(60):
        short = await search(AdaptiveConsistency(max_samples=40), seed)
        whole = await search(BestOfN(num_samples=40, selection=Selection.majority), seed)
        assert short.candidates == whole.candidates[: len(short.candidates)]
        assert short.best is not None
        assert whole.best is not None
        answers = [FakeGrader().extract(best.trajectory.text) for best in (short.best, whole.best)]
        same += answers[0] == answers[1]
        drawn.append(short.ledger.num_generations)
    assert same >= 57
    assert sum(drawn) / len(drawn) < 15


async def test_it_needs_no_prm_and_never_calls_one() -> None:
    assert not needs_scorer(AdaptiveConsistency())
    result = await search(AdaptiveConsistency(), 0)
    assert Role.PRM not in result.ledger.usages


async def test_a_budget_stops_the_vote_at_once() -> None:
    for max_generations in (1, 2, 3):
        result = await search(
            AdaptiveConsistency(),
            0,
            Budget(max_generations=max_generations),
        )
        assert result.ledger.num_generations == max_generations
        assert result.stop_reason is SearchStop.BUDGET
        assert result.best is not None


def test_a_vote_that_can_never_be_settled_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="3 samples never settle a vote"):
        AdaptiveConsistency(max_samples=3)
    assert AdaptiveConsistency(max_samples=4).max_samples == 4
    assert AdaptiveConsistency(max_samples=3, confidence=0.9).max_samples == 3


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_samples", 0),
        ("confidence", 0.0),
        ("confidence", 1.0),
        ("confidence", float("nan")),
    ],
)
def test_impossible_settings_are_refused(name: str, value: float) -> None:
    settings: dict[str, Any] = {name: value}
    with pytest.raises(ConfigurationError, match=f"AdaptiveConsistency: {name}"):
        AdaptiveConsistency(**settings)
