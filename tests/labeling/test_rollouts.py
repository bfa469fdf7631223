from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from prm_search.budget import Role
from prm_search.errors import EngineError
from prm_search.labeling.annotation import Response
from prm_search.labeling.rejection import Rejection
from prm_search.labeling.rollouts import Outcome, Rollouts
from prm_search.labeling.tally import Tally
from prm_search.labeling.text_prefixes import TextPrefixes
from prm_search.protocols import Generator, Until
from prm_search.types import Generation, Step, StopReason, Trajectory, Usage
from tests.labeling.scripted import ENDINGS, SEED, DeadEngine, ScriptedCompleter, grader, response


def rollouts_of(labeled: Response, completer: Generator) -> Rollouts:
    return Rollouts(labeled, completer=completer, grader=grader(), seed=SEED)


async def test_each_outcome_is_told_apart_and_only_some_are_failures() -> None:
    completer = ScriptedCompleter(outcomes=[list(Outcome)])
    rollouts = rollouts_of(response(2), completer)
    tally = await rollouts.draw(0, len(Outcome))
    assert [rollout.outcome for rollout in rollouts.of(0)] == list(Outcome)
    assert tally == Tally(num_successes=1, num_failures=3, num_undecided=2)
    assert tally.share == 0.25
    assert rollouts.summary()["outcomes"] == {outcome.value: 1 for outcome in Outcome}


async def test_a_rollout_is_remembered_with_its_text_answer_and_cost() -> None:
    completer = ScriptedCompleter(outcomes=[[Outcome.WRONG, Outcome.RIGHT]])
    rollouts = rollouts_of(response(2), completer)
    await rollouts.draw(0, 1)
    assert rollouts.num_drawn == [1, 0]
    await rollouts.draw(0, 2)
    await rollouts.draw(0, 2)
    assert completer.calls == {(0, 0): 1, (0, 1): 1}
    wrong, right = rollouts.of(0)
    assert (wrong.text, wrong.answer, wrong.usage.generated_tokens) == ("\\boxed{0}", "0", 2)
    assert (right.text, right.answer, right.usage.generated_tokens) == ("\\boxed{1}", "1", 1)


async def test_the_ledger_is_what_the_completer_charged() -> None:
    completer = ScriptedCompleter(outcomes=[[Outcome.WRONG, Outcome.NO_ROOM, Outcome.CUT_OFF]] * 3)
    rollouts = rollouts_of(response(4), completer)
    await asyncio.gather(*(rollouts.draw(step, 3) for step in range(4)))
    assert rollouts.ledger.of(Role.POLICY) == completer.usage
    assert rollouts.ledger.num_generations == 6
    assert rollouts.num_drawn == [2, 2, 2, 0]
    assert rollouts.ledger.of(Role.GRADER).num_calls == 4, "three rollouts and the response's own"


@pytest.mark.parametrize("own", [Outcome.RIGHT, Outcome.WRONG, Outcome.UNGRADABLE])
async def test_the_last_step_costs_nothing(own: Outcome) -> None:
    completer = ScriptedCompleter(outcomes=[])
    rollouts = rollouts_of(response(1, own), completer)
    tally = await rollouts.draw(0, 8)
    assert completer.calls == {}
    assert tally.num_successes == (own is Outcome.RIGHT)
    assert tally.num_undecided == (own is Outcome.UNGRADABLE)
    assert rollouts.summary()["answer"] == own.value


@pytest.mark.parametrize("stop_reason", [StopReason.LENGTH, StopReason.STEP])
def test_a_response_that_did_not_end_is_set_aside(stop_reason: StopReason) -> None:
    labeled = response(2)
    *steps, last = labeled.trajectory.steps
    cut = replace(last, stop_reason=stop_reason)
    labeled = replace(labeled, trajectory=replace(labeled.trajectory, steps=(*steps, cut)))
    with pytest.raises(Rejection) as caught:
        rollouts_of(labeled, ScriptedCompleter(outcomes=[]))
    assert caught.value.failure.kind == "unfinished"


def test_a_problem_without_reference_answer_is_set_aside() -> None:
    with pytest.raises(Rejection) as caught:
        rollouts_of(response(2, answer=None), ScriptedCompleter(outcomes=[]))
    assert caught.value.failure.kind == "no_reference_answer"
    assert "'p'" in caught.value.failure.message


async def test_an_engine_that_fails_is_no_outcome() -> None:
    rollouts = rollouts_of(response(2), DeadEngine())
    with pytest.raises(EngineError):
        await rollouts.draw(0, 3)
    assert rollouts.tally(0) == Tally()


class Noted:
    """Notes the prefixes that it is given, and returns too much."""

    def __init__(self, num_continuations: int = 1) -> None:
        self.prefixes: list[Trajectory] = []
        self.num_continuations = num_continuations

    async def generate(
        self,
        prefix: Trajectory,
        *,
        num_samples: int,
        until: Until,
        seed: int,
        temperature: float | None = None,
    ) -> Generation:
        self.prefixes.append(prefix)
        ending = (ENDINGS[Outcome.RIGHT],)
        return Generation(continuations=(ending,) * self.num_continuations, usage=Usage())


async def test_a_completer_that_returns_too_many_continuations_has_failed() -> None:
    with pytest.raises(EngineError, match="returned 2"):
        await rollouts_of(response(2), Noted(2)).draw(0, 1)


async def test_prefixes_keep_their_tokens_unless_the_completer_is_another_model() -> None:
    labeled, completer = response(3), Noted()
    await rollouts_of(labeled, completer).draw(1, 1)
    await rollouts_of(labeled, TextPrefixes(generator=completer)).draw(1, 1)
    same, other = completer.prefixes
    assert same.steps == labeled.trajectory.steps[:2]
    assert other.text == same.text
    assert other.steps == tuple(Step(text=step.text) for step in same.steps)
