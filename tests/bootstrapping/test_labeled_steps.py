"""Which labeled steps are analysed, and which problems are measured on."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prm_search.bootstrapping.labeled_steps import (
    LabeledProblem,
    choose_steps,
    draw_steps,
    group_by_problem,
    is_for_validation,
)
from prm_search.data.stepwise import StepwiseRow
from prm_search.errors import DataError
from tests.bootstrapping.fake_teacher import row


def grouped(*rows: StepwiseRow) -> tuple[LabeledProblem, ...]:
    return group_by_problem((item, [float(label) for label in item.labels]) for item in rows)


def places(problems: tuple[LabeledProblem, ...]) -> dict[bool, set[tuple[str, int, int]]]:
    found: dict[bool, set[tuple[str, int, int]]] = {True: set(), False: set()}
    for problem in problems:
        for number, solution in enumerate(problem.solutions):
            for step in solution.labeled:
                found[step.is_right].add((problem.id, number, step.index))
    return found


def test_solutions_of_one_problem_come_together() -> None:
    first, second = grouped(row(1, True, False), row(2, True), row(1, True, True))
    assert [len(item.solutions) for item in (first, second)] == [2, 1]
    assert first.solutions[0].labeled[1].is_right is False


def test_a_step_without_a_label_is_not_analysed_but_read() -> None:
    item = replace(row(1, True, False), unlabeled_steps=("later",))
    [problem] = group_by_problem([(item, [None, 0.0])])
    assert problem.solutions[0].steps == (*item.completions, "later")
    assert [step.index for step in problem.solutions[0].labeled] == [1]


def test_soft_labels_above_zero_are_right() -> None:
    [problem] = group_by_problem([(row(1, True, True), [0.2, 0.0])])
    assert [step.is_right for step in problem.solutions[0].labeled] == [True, False]


def test_an_id_that_two_problems_have_is_refused() -> None:
    rows = [replace(row(number, True), problem_id="a") for number in (1, 2)]
    with pytest.raises(DataError, match="two different problems have the problem_id 'a'"):
        grouped(*rows)


@given(
    labels=st.lists(
        st.lists(st.booleans(), min_size=1, max_size=5).map(tuple), min_size=1, max_size=12
    ),
    ratio=st.sampled_from([None, 0.5, 1.0, 3.0]),
    seed=st.integers(0, 5),
)
def test_all_wrong_steps_and_the_given_share_of_right_ones_are_chosen(
    labels: list[tuple[bool, ...]], ratio: float | None, seed: int
) -> None:
    problems = grouped(*(row(number, *item) for number, item in enumerate(labels)))
    given_places = places(problems)
    if not (given_places[True] and given_places[False]):
        with pytest.raises(DataError, match="both kinds are needed"):
            choose_steps(problems, right_steps_per_wrong=ratio, seed=seed)
        return
    chosen = places(choose_steps(problems, right_steps_per_wrong=ratio, seed=seed))
    assert chosen[False] == given_places[False]
    assert chosen[True] <= given_places[True]
    wanted = len(given_places[True])
    if ratio is not None:
        wanted = min(wanted, max(1, round(ratio * len(given_places[False]))))
    assert len(chosen[True]) == wanted


def test_the_choice_depends_on_the_seed() -> None:
    problems = grouped(*(row(number, True, True, False) for number in range(20)))
    first, again, other = (
        choose_steps(problems, right_steps_per_wrong=1.0, seed=seed) for seed in (0, 0, 1)
    )
    assert first == again != other


@given(most=st.one_of(st.none(), st.integers(1, 40)), seed=st.integers(0, 3))
def test_no_more_steps_are_drawn_than_asked_for(most: int | None, seed: int) -> None:
    problems = grouped(*(row(number, True, True, False) for number in range(10)))
    drawn = draw_steps(problems, most, seed)
    assert sum(problem.num_steps for problem in drawn) == min(30, 30 if most is None else most)
    for kind in (True, False):
        assert places(drawn)[kind] <= places(problems)[kind]
    assert draw_steps(problems, most, seed) == drawn


def test_no_label_at_all_is_said() -> None:
    with pytest.raises(DataError, match="no step has a label"):
        choose_steps((), right_steps_per_wrong=1.0, seed=0)


@given(share=st.floats(0, 0.9))
def test_a_problem_is_for_validation_whatever_the_others_are(share: float) -> None:
    chosen = [is_for_validation(f"problem-{index}", share, seed=0) for index in range(2000)]
    assert abs(sum(chosen) / len(chosen) - share) < 0.05
    assert chosen[:5] == [is_for_validation(f"problem-{i}", share, seed=0) for i in range(5)]
