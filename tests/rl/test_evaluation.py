"""Evaluations of a policy on fakes and on the sandbox."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from prm_search.errors import GradingError
from prm_search.fakes import FakeGenerator, FakeGrader, FakeScorer
from prm_search.rl.evaluation import evaluate_greedy, evaluate_search, grade, summarize
from prm_search.sandbox.problems import Split, draw_split_world
from prm_search.sandbox.solutions import RIGHT, write_solution
from prm_search.sandbox.wording import write_problem
from prm_search.search import BestOfN
from prm_search.types import Problem, Step, StopReason, Trajectory

PROBLEMS = [Problem(id=str(number), prompt="?", answer="12") for number in range(20)]


async def test_greedy_solutions_are_graded() -> None:
    right = await evaluate_greedy(FakeGenerator(error_rate=0), FakeGrader(), PROBLEMS)
    wrong = await evaluate_greedy(FakeGenerator(error_rate=1), FakeGrader(), PROBLEMS)
    assert summarize(right)["accuracy"] == 1.0
    assert summarize(wrong)["accuracy"] == 0.0
    assert summarize(right)["steps_per_response"] == 4.0
    assert "verified" not in summarize(right)  # nobody knows


async def test_an_answer_that_cannot_be_graded_is_neither_right_nor_wrong() -> None:
    grader = FakeGrader(ungradable=frozenset({"7"}))
    generator = FakeGenerator(error_rate=0.3)
    graded = await evaluate_greedy(generator, grader, PROBLEMS)
    outcomes = [one.is_right for one in graded]
    num_unknown = outcomes.count(None)
    assert 0 < num_unknown < len(PROBLEMS)
    metrics = summarize(graded)
    assert metrics["ungradable"] == num_unknown / len(PROBLEMS)
    assert metrics["accuracy"] == outcomes.count(True) / (len(PROBLEMS) - num_unknown)
    assert metrics["steps_per_response"] == 4.0
    nobody = [replace(one, is_right=None) for one in graded]
    with pytest.raises(GradingError, match="none of the 20 answers"):
        summarize(nobody)


async def test_a_search_solves_more() -> None:
    generator = FakeGenerator(error_rate=0.4)
    greedy = await evaluate_greedy(generator, FakeGrader(), PROBLEMS)
    found = await evaluate_search(
        BestOfN(num_samples=8), generator, FakeScorer(), FakeGrader(), PROBLEMS, seed=0
    )
    assert summarize(found)["accuracy"] > summarize(greedy)["accuracy"]


def solution(*, spoiled: bool) -> Trajectory:
    rng = random.Random(0)
    world = draw_split_world(rng, 2, Split.dev)
    texts = list(write_solution(world, rng, RIGHT))
    if spoiled:
        texts[0] = "Nonsense that leads nowhere."
    problem = Problem(
        id="w",
        prompt=write_problem(world),
        answer=str(world.answer),
        metadata={"oracle": "sandbox"},
    )
    last = len(texts) - 1
    steps = tuple(
        Step(text=text, stop_reason=StopReason.END if index == last else StopReason.STEP)
        for index, text in enumerate(texts)
    )
    return Trajectory(problem=problem, steps=steps)


async def test_the_oracle_tells_right_answers_from_right_solutions() -> None:
    sound = await grade(FakeGrader(), solution(spoiled=False))
    lucky = await grade(FakeGrader(), solution(spoiled=True))
    assert (sound.is_right, sound.is_sound) == (True, True)
    assert (lucky.is_right, lucky.is_sound) == (True, False)
    metrics = summarize([sound, lucky])
    assert (metrics["accuracy"], metrics["verified"]) == (1.0, 0.5)
    assert metrics["verified_share"] == 0.5
