from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prm_search.budget import Role
from prm_search.errors import ConfigurationError, EngineError
from prm_search.labeling.annotation import Annotation
from prm_search.labeling.consensus import Consensus
from prm_search.labeling.judge_votes import JudgeVotes
from prm_search.labeling.monte_carlo import LabelKind, MonteCarlo, Order
from prm_search.labeling.rollouts import Outcome
from tests.labeling.scripted import (
    Case,
    DeadEngine,
    ScriptedCompleter,
    ScriptedJudge,
    annotate,
    cases,
    check_account,
    response,
    values,
)

R, W, U = Outcome.RIGHT, Outcome.WRONG, Outcome.UNGRADABLE
COMPLETE = (Order.exhaustive, Order.stop_at_first_error)


def label(case: Case, order: Order, vote: int | str | None) -> Annotation:
    completer = case.completer()
    annotator = Consensus(
        monte_carlo=MonteCarlo(
            num_rollouts=case.num_rollouts,
            waves=case.waves,
            threshold=case.threshold,
            order=order,
        )
    )
    annotation = annotate(annotator, case.response, completer, ScriptedJudge(votes=[vote]))
    check_account(annotation, completer)
    return annotation


@settings(deadline=None, max_examples=300)
@given(cases(), st.data())
def test_lazy_keeps_what_the_full_recipe_keeps(case: Case, data: st.DataObject) -> None:
    num_steps = len(case.outcomes) + 1
    vote = data.draw(st.sampled_from([None, *range(num_steps), "?"]))
    lazy = label(case, Order.lazy, vote)
    for order in COMPLETE:
        full = label(case, order, vote)
        assert (lazy.rejection is None) == (full.rejection is None)
        assert values(lazy) == values(full)
        assert lazy.first_error == full.first_error
        if order is Order.exhaustive:
            assert lazy.ledger.num_generations <= full.ledger.num_generations


@settings(deadline=None, max_examples=200)
@given(cases())
def test_what_monte_carlo_alone_would_say_is_kept(case: Case) -> None:
    alone = annotate(
        MonteCarlo(num_rollouts=case.num_rollouts, waves=case.waves, threshold=case.threshold),
        case.response,
        case.completer(),
    )
    both = label(case, Order.lazy, alone.first_error)
    assert values(both) == values(alone)
    assert (both.rejection is None) == (alone.rejection is None)


def test_a_judge_that_cannot_be_read_costs_no_rollout() -> None:
    completer = ScriptedCompleter(outcomes=[[R] * 8] * 3)
    annotation = annotate(Consensus(), response(4), completer, ScriptedJudge(votes=["?"]))
    assert annotation.rejection is not None
    assert annotation.rejection.kind == "unreadable"
    assert not completer.calls
    assert annotation.ledger.of(Role.JUDGE).num_calls == 1


def test_the_answer_alone_refutes_a_judge_that_sees_no_error() -> None:
    completer = ScriptedCompleter(outcomes=[[R] * 8] * 3)
    annotation = annotate(Consensus(), response(4, W), completer, ScriptedJudge(votes=[None]))
    assert annotation.rejection is not None
    assert annotation.rejection.kind == "disagreement"
    assert "judge finds no error" in annotation.rejection.message
    assert not completer.calls


def test_only_the_checks_that_decide_are_made() -> None:
    completer = ScriptedCompleter(outcomes=[[R] * 8, [R] * 8, [W] * 8, [R] * 8])
    annotation = annotate(Consensus(), response(5, W), completer, ScriptedJudge(votes=[2]))
    assert annotation.rejection is None
    assert values(annotation) == [1.0, 1.0, 0.0, None, None]
    assert [each.num_rollouts for each in annotation.labels] == [1, 1, 8, 0, 0]
    assert {each.source for each in annotation.labels} == {"consensus"}
    assert annotation.details["judge"] == {"first_error": 2, "votes": [2], "num_unreadable": 0}


def test_both_are_paid_for() -> None:
    completer = ScriptedCompleter(outcomes=[[R] * 8, [W] * 8])
    annotation = annotate(Consensus(), response(3, W), completer, ScriptedJudge(votes=[1]))
    assert annotation.ledger.of(Role.JUDGE).generated_tokens == 3
    assert annotation.ledger.of(Role.POLICY) == completer.usage
    assert annotation.ledger.num_generations == 9


def test_soft_labels_come_from_all_rollouts() -> None:
    soft = Consensus(
        monte_carlo=MonteCarlo(
            num_rollouts=2, labels=LabelKind.soft, order=Order.stop_at_first_error
        )
    )
    completer = ScriptedCompleter(outcomes=[[R, W], [W, W], [R, R]])
    annotation = annotate(soft, response(4), completer, ScriptedJudge(votes=[1]))
    assert values(annotation) == [0.5, 0.0, None, None]


@pytest.mark.parametrize("order", [Order.exhaustive, Order.lazy])
def test_a_failure_of_either_is_no_label(order: Order) -> None:
    consensus = Consensus(monte_carlo=MonteCarlo(order=order))
    with pytest.raises(EngineError):
        annotate(consensus, response(3), DeadEngine(), ScriptedJudge(votes=[1]))
    with pytest.raises(EngineError):
        annotate(consensus, response(3), ScriptedCompleter(outcomes=[[W] * 8] * 2), DeadEngine())


def test_what_cannot_be_labeled_is_set_aside_before_anything_is_spent() -> None:
    judge = ScriptedJudge(votes=[1])
    annotation = annotate(
        Consensus(), response(3, answer=None), ScriptedCompleter(outcomes=[]), judge
    )
    assert annotation.rejection is not None
    assert annotation.rejection.kind == "no_reference_answer"
    assert judge.num_calls == 0


def test_without_engines_it_says_what_to_do() -> None:
    with pytest.raises(ConfigurationError, match="policy="):
        annotate(Consensus(), response(3), judge=ScriptedJudge(votes=[1]))
    with pytest.raises(ConfigurationError, match="judge="):
        annotate(Consensus(), response(3), ScriptedCompleter(outcomes=[]))
    assert Consensus(judge_votes=JudgeVotes(num_votes=3)).needs == {Role.POLICY, Role.JUDGE}
