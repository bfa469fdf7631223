"""The sandbox: problems, solutions and critiques are written and read without loss; the oracle
accepts every right step and names the error of every wrong one."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prm_search.sandbox.critiques import write_critique
from prm_search.sandbox.oracle import StepError, check_steps, first_error
from prm_search.sandbox.problems import Split, draw_problems, split_of
from prm_search.sandbox.solutions import Flaws, write_solution
from prm_search.sandbox.wording import (
    read_problem,
    read_step,
    write_answer,
    write_problem,
    write_step,
)
from prm_search.sandbox.world import (
    LEVELS,
    MAX_VALUE,
    NUM_OPERATIONS,
    TRAPS,
    Kind,
    draw_world,
)

levels = st.sampled_from(LEVELS)
seeds = st.integers(0, 2**32)

PROBLEM = (
    "Some friends count coins. Ann gets 12. Ben gets 7 more than Ann. Ben got 4 more than Cat. "
    "Eva gets the larger of Cat and Ben. How many coins does Eva have?"
)
RIGHT = [
    "Ann: 12 is given, so Ann=12.",
    "Ben: Ann=12 and 12+7=19, so Ben=19.",
    "Cat: Ben=19 and 19-4=15, so Cat=15.",
    "Eva: Cat=15, Ben=19 and the larger is 19, so Eva=19.",
    r"The answer is \boxed{19}.",
]


@given(seeds, levels)
def test_a_problem_is_read_as_it_was_written(seed: int, level: int) -> None:
    world = draw_world(random.Random(seed), level)
    assert read_problem(write_problem(world)) == world


@given(seeds, levels)
def test_worlds_keep_to_their_level_and_range(seed: int, level: int) -> None:
    world = draw_world(random.Random(seed), level)
    fewest, most = NUM_OPERATIONS[level]
    assert fewest <= len(world.operations) <= most
    assert all(0 <= value <= MAX_VALUE for value in world.values().values())


@given(seeds, levels)
def test_the_oracle_accepts_every_right_solution(seed: int, level: int) -> None:
    rng = random.Random(seed)
    world = draw_world(rng, level)
    steps = write_solution(world, rng)
    assert first_error(write_problem(world), steps) is None
    assert steps[-1] == write_answer(world.answer)
    assert all(write_step(claim) == text for text in steps[:-1] if (claim := read_step(text)))


@given(seeds, levels)
def test_the_oracle_finds_every_slip(seed: int, level: int) -> None:
    rng = random.Random(seed)
    world = draw_world(rng, level)
    steps = write_solution(world, rng, Flaws(slip_probability=1.0))
    errors = check_steps(write_problem(world), steps)
    expected = [quantity.kind is not Kind.GIVEN for quantity in world.quantities]
    assert [error is not None for error in errors[:-1]] == expected
    assert errors[-1] is None, "the answer follows from what was stated"


@given(seeds, levels)
def test_a_misconception_errs_at_the_traps_and_nowhere_else(seed: int, level: int) -> None:
    rng = random.Random(seed)
    world = draw_world(rng, level)
    steps = write_solution(world, rng, Flaws(misconception_share=1.0))
    errors = check_steps(write_problem(world), steps)
    expected = [
        StepError.WRONG_OPERATION if quantity.kind in TRAPS else None
        for quantity in world.quantities
    ]
    assert errors == [*expected, None]


@pytest.mark.parametrize(
    ("index", "text", "error"),
    [
        (0, "Ann: 13 is given, so Ann=13.", StepError.WRONG_OPERAND),
        (0, "Ann: 12 is given, so Ann=13.", StepError.ARITHMETIC),
        (0, "Ben: 12 is given, so Ben=12.", StepError.WRONG_OPERATION),
        (1, "Ben: Ann=12 and 12+7=18, so Ben=18.", StepError.ARITHMETIC),
        (1, "Ben: Ann=12 and 12+7=19, so Ben=18.", StepError.ARITHMETIC),
        (1, "Ben: Eva=30 and 30+7=37, so Ben=37.", StepError.WRONG_OPERAND),
        (1, "Ben: Ann=21 and 21+7=28, so Ben=28.", StepError.WRONG_OPERAND),
        (1, "Ben: Ann=12 and 12+8=20, so Ben=20.", StepError.WRONG_OPERAND),
        (1, "Ben: Ann=12 and 12-7=5, so Ben=5.", StepError.WRONG_OPERATION),
        (1, "Ben: Ann=12 and 12%0=5, so Ben=5.", StepError.WRONG_OPERATION),
        (2, "Cat: Ben=19 and 19+4=23, so Cat=23.", StepError.WRONG_OPERATION),
        (3, "Eva: Cat=15, Ben=19 and the smaller is 15, so Eva=15.", StepError.WRONG_OPERATION),
        (3, "Eva: Cat=15 and 15+19=34, so Eva=34.", StepError.WRONG_OPERAND),
        (3, "Therefore Eva has nineteen.", StepError.UNREADABLE),
        (3, "Zoe: Cat=15 and 15+7=22, so Zoe=22.", StepError.UNREADABLE),
        (3, "Ann: Cat=15 and 15+7=22, so Ann=22.", StepError.WRONG_OPERATION),
        (4, r"The answer is \boxed{20}.", StepError.WRONG_FINAL_ANSWER),
    ],
)
def test_each_kind_of_error_is_named(index: int, text: str, error: StepError) -> None:
    steps = [*RIGHT[:index], text]
    assert check_steps(PROBLEM, steps) == [*([None] * index), error]


SLIPPED = [
    RIGHT[0],
    RIGHT[1],
    "Cat: Ben=19 and 19-4=14, so Cat=14.",
    "Eva: Cat=14, Ben=19 and the larger is 19, so Eva=19.",
]


def test_going_on_rightly_from_a_wrong_value_is_right() -> None:
    assert check_steps(PROBLEM, SLIPPED) == [None, None, StepError.ARITHMETIC, None]


def test_an_absorbed_error_leaves_the_right_answer() -> None:
    assert check_steps(PROBLEM, [*SLIPPED, RIGHT[4]])[3:] == [None, None]
    assert first_error(PROBLEM, [*SLIPPED, RIGHT[4]]) == 2


def test_negative_values_that_follow_from_errors_are_read() -> None:
    steps = ["Ann: 2 is given, so Ann=2.", "Ben: Ann=2 and 2-7=-5, so Ben=-5."]
    problem = PROBLEM.replace("gets 12", "gets 2")
    steps.append("Cat: Ben=-5 and -5-4=-9, so Cat=-9.")
    assert check_steps(problem, steps) == [None, StepError.WRONG_OPERATION, None]


def test_a_text_that_is_no_sandbox_problem_is_refused() -> None:
    with pytest.raises(ValueError, match="not a sandbox problem"):
        check_steps("What is 2+2?", ["4"])
    with pytest.raises(ValueError, match="not a sandbox sentence: 'Ben likes Ann'"):
        check_steps("Some friends count coins. Ben likes Ann. How many coins does Ben have?", [])


@given(seeds, levels)
def test_a_critique_ends_in_the_first_error(seed: int, level: int) -> None:
    rng = random.Random(seed)
    world = draw_world(rng, level)
    prompt = write_problem(world)
    steps = write_solution(world, rng, Flaws(misconception_share=0.5, slip_probability=0.2))
    critique = write_critique(prompt, steps)
    error = first_error(prompt, steps)
    assert critique.splitlines()[-1] == rf"\boxed{{{-1 if error is None else error}}}"
    assert critique.count("Wrong") == (error is not None)


def test_splits_are_disjoint_and_drawn_problems_reproducible() -> None:
    drawn = {split: draw_problems(split, 50, LEVELS, seed=0) for split in Split}
    for split, problems in drawn.items():
        assert {split_of(problem.prompt) for problem in problems} == {split}
        assert len({problem.prompt for problem in problems}) == 50
        assert problems == draw_problems(split, 50, LEVELS, seed=0)
        assert [problem.metadata["level"] for problem in problems[:5]] == list(LEVELS)
    assert drawn[Split.test] != draw_problems(Split.test, 50, LEVELS, seed=1)


def test_every_answer_is_the_answer_of_a_right_solution() -> None:
    for problem in draw_problems(Split.dev, 25, LEVELS, seed=3):
        steps = write_solution(read_problem(problem.prompt), random.Random(0))
        assert steps[-1] == write_answer(int(problem.answer or -1))
