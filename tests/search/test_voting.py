from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prm_search.aggregation import Aggregation, aggregate
from prm_search.fakes import FakeGrader
from prm_search.types import Candidate, Failure, Problem, Step, StepScores, StopReason, Trajectory
from prm_search.voting import Selection, group_answers, select

PROBLEM = Problem(id="p", prompt="?")


def candidate(answer: str | None, *scores: float) -> Candidate:
    text = "no answer" if answer is None else f"\\boxed{{{answer}}}"
    steps = tuple(Step(text=text, stop_reason=StopReason.END) for _ in scores or (0,))
    return Candidate(
        trajectory=Trajectory(problem=PROBLEM, steps=steps),
        scores=StepScores(values=scores) if scores else None,
        failure=None if scores else Failure(kind="ScoringError", message="nan"),
    )


async def chosen(
    candidates: list[Candidate],
    selection: Selection,
    aggregation: Aggregation = Aggregation.last,
    grader: FakeGrader | None = None,
) -> int | None:
    best = await select(
        candidates, selection=selection, aggregation=aggregation, grader=grader or FakeGrader()
    )
    return next((i for i, each in enumerate(candidates) if each is best), None)


async def test_each_selection_by_hand() -> None:
    candidates = [
        candidate("1", 0.3),
        candidate("2", 0.9),
        candidate("3", 0.5),
        candidate("1", 0.2),
        candidate("1", 0.1),
        candidate("6/2", 0.6),
    ]
    assert await chosen(candidates, Selection.argmax) == 1
    assert await chosen(candidates, Selection.weighted) == 5  # 3 and 6/2: 1.1
    assert await chosen(candidates, Selection.majority) == 0  # 1: three votes


async def test_the_aggregation_decides_the_weight() -> None:
    candidates = [candidate("1", 0.2, 0.9), candidate("2", 0.7, 0.7)]
    assert await chosen(candidates, Selection.argmax, Aggregation.last) == 0
    assert await chosen(candidates, Selection.argmax, Aggregation.min) == 1
    assert await chosen(candidates, Selection.weighted, Aggregation.product) == 1


@pytest.mark.parametrize("selection", Selection)
async def test_ties_go_to_the_first(selection: Selection) -> None:
    candidates = [candidate("2", 0.5), candidate("1", 0.5), candidate("2.0", 0.0)]
    assert await chosen(candidates[:2], selection) == 0
    assert await chosen(list(reversed(candidates[:2])), selection) == 0


@pytest.mark.parametrize("selection", [Selection.argmax, Selection.weighted])
async def test_candidates_without_scores_never_win_by_score(selection: Selection) -> None:
    candidates = [candidate("1"), candidate("1"), candidate("2", 0.0)]
    assert await chosen(candidates, selection) == 2
    assert await chosen(candidates[:2], selection) is None


async def test_candidates_without_scores_have_a_vote_in_a_majority() -> None:
    assert (
        await chosen([candidate("2", 0.9), candidate("1"), candidate("1")], Selection.majority) == 1
    )


@pytest.mark.parametrize("selection", Selection)
async def test_candidates_without_an_answer_win_only_if_nothing_else_can(
    selection: Selection,
) -> None:
    assert await chosen([candidate(None, 0.9), candidate("1", 0.1)], selection) == 1
    assert await chosen([candidate(None, 0.4), candidate(None, 0.3)], selection) == 0


@pytest.mark.parametrize("selection", Selection)
async def test_nothing_is_chosen_from_nothing(selection: Selection) -> None:
    assert await chosen([], selection) is None


async def test_a_vote_without_weight_still_chooses() -> None:
    assert await chosen([candidate("1", 0.0), candidate("2", 0.0)], Selection.weighted) == 0


async def test_argmax_compares_no_answers() -> None:
    grader = FakeGrader()
    await chosen([candidate("1", 0.1), candidate("2", 0.2)], Selection.argmax, grader=grader)
    assert grader.num_calls == 0


async def test_equal_strings_are_compared_once() -> None:
    grader = FakeGrader()
    candidates = [candidate("1"), candidate("2"), candidate("1"), candidate("2")]
    groups = await group_answers(candidates, grader)
    assert [group.members for group in groups] == [(0, 2), (1, 3)]
    assert grader.num_calls == 1


async def test_answers_that_cannot_be_compared_are_counted_apart() -> None:
    grader = FakeGrader(ungradable=frozenset({"9^9^9"}))
    candidates = [candidate("9^9^9", 0.9), candidate("1", 0.5), candidate("1.0", 0.6)]
    groups = await group_answers(candidates, grader)
    assert [(group.answer, group.members) for group in groups] == [("9^9^9", (0,)), ("1", (1, 2))]
    assert await chosen(candidates, Selection.weighted, grader=grader) == 2


votes = st.lists(
    st.tuples(st.sampled_from(["1", "1.0", "2", "4/2", "3"]), st.floats(0, 1)),
    min_size=1,
    max_size=12,
)


@given(votes, st.randoms(use_true_random=False))
def test_votes_do_not_depend_on_the_order(pairs: list[tuple[str, float]], rng: object) -> None:
    shuffled = list(pairs)
    rng.shuffle(shuffled)  # pyright: ignore[reportAttributeAccessIssue]

    def tally(items: list[tuple[str, float]]) -> list[tuple[float, int, list[float]]]:
        candidates = [candidate(answer, score) for answer, score in items]
        groups = asyncio.run(group_answers(candidates, FakeGrader()))
        weights = [sorted(items[index][1] for index in group.members) for group in groups]
        return sorted((sum(weight), len(weight), weight) for weight in weights)

    assert tally(pairs) == tally(shuffled)


@given(votes, st.sampled_from(Selection))
def test_the_winner_has_the_most(pairs: list[tuple[str, float]], selection: Selection) -> None:
    candidates = [candidate(answer, score) for answer, score in pairs]
    best = asyncio.run(
        select(candidates, selection=selection, aggregation=Aggregation.last, grader=FakeGrader())
    )
    groups = asyncio.run(group_answers(candidates, FakeGrader()))
    assert best is not None
    winner = next(g for g in groups if any(candidates[i] is best for i in g.members))
    scores = [aggregate(c.scores, Aggregation.last) for c in candidates if c.scores]
    if selection is Selection.majority:
        assert len(winner.members) == max(len(group.members) for group in groups)
    elif selection is Selection.weighted:
        total = sum(scores[i] for i in winner.members)
        assert total >= max(sum(scores[i] for i in g.members) for g in groups) - 1e-12
    else:
        assert best.scores is not None
        assert best.scores.values[-1] == max(scores)
