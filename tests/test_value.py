"""Values come back from pickling as they were."""

from __future__ import annotations

import copy
import pickle
from dataclasses import dataclass

import pytest

from prm_search.types import Failure, Problem, Step, StepScores, StopReason, Trajectory, Verdict
from prm_search.value import Value

PROBLEM = Problem(id="a", prompt="1 + 1?", answer="2", metadata={"level": 3})
STEP = Step(text="2\n", token_ids=(1, 2), logprobs=(-0.5, -0.1), stop_reason=StopReason.END)


@dataclass(frozen=True, kw_only=True, slots=True)
class Derived(Step):
    more: tuple[int, ...] = ()


@pytest.mark.parametrize(
    "value",
    [
        PROBLEM,
        STEP,
        Trajectory(problem=PROBLEM, steps=(STEP,)),
        StepScores(values=(0.5, 1.0)),
        Verdict(first_error=None, critique="…"),
        Failure(kind="ScoringError", message="NaN"),
        Derived(text="2", token_ids=(1,), more=(3,)),
    ],
)
def test_a_value_comes_back_as_it_was(value: Value) -> None:
    for back in (pickle.loads(pickle.dumps(value)), copy.copy(value), copy.deepcopy(value)):
        assert type(back) is type(value)
        assert back == value


def test_what_is_shared_stays_shared() -> None:
    first, second = pickle.loads(
        pickle.dumps([Trajectory(problem=PROBLEM, steps=(STEP,)) for _ in range(2)])
    )
    assert first.steps[0] is second.steps[0]
    assert first.problem is second.problem


def test_a_value_with_more_than_slots_is_refused_before_it_is_sent() -> None:
    class Loose(Step):
        pass

    with pytest.raises(TypeError, match="Loose is no dataclass with slots"):
        pickle.dumps(Loose(text="2"))
