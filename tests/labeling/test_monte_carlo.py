from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings

from prm_search.budget import Role
from prm_search.errors import ConfigurationError, EngineError
from prm_search.labeling.monte_carlo import LabelKind, MonteCarlo, Order
from prm_search.labeling.rollouts import Outcome
from tests.labeling.scripted import (
    Case,
    DeadEngine,
    ScriptedCompleter,
    annotate,
    cases,
    check_account,
    response,
    values,
)

R, W, U = Outcome.RIGHT, Outcome.WRONG, Outcome.UNGRADABLE


def monte_carlo(case: Case, order: Order, labels: LabelKind = LabelKind.hard) -> MonteCarlo:
    return MonteCarlo(
        num_rollouts=case.num_rollouts,
        waves=case.waves,
        threshold=case.threshold,
        order=order,
        labels=labels,
    )


@settings(deadline=None, max_examples=300)
@given(cases())
def test_lazy_labels_are_those_of_the_plain_recipe(case: Case) -> None:
    found = {}
    for order in (Order.exhaustive, Order.stop_at_first_error, Order.lazy):
        completer = case.completer()
        found[order] = annotate(monte_carlo(case, order), case.response, completer)
        check_account(found[order], completer)
    exhaustive = found[Order.exhaustive]
    for annotation in found.values():
        assert values(annotation) == values(exhaustive)
        assert annotation.first_error == exhaustive.first_error
        assert annotation.rejection == exhaustive.rejection
    num_drawn = [found[order].ledger.num_generations for order in found]
    assert num_drawn == sorted(num_drawn, reverse=True)


@settings(deadline=None, max_examples=200)
@given(cases())
def test_labels_are_what_the_definition_says(case: Case) -> None:
    annotation = annotate(monte_carlo(case, Order.lazy), case.response, case.completer())
    expected: list[float | None] = []
    is_unknown = False
    for row in [*case.outcomes, [case.own]]:
        decided = [each is R for each in row if each not in (U, Outcome.NO_ROOM)]
        is_unknown = not decided
        if is_unknown:
            break
        expected.append(float(sum(decided) / len(decided) > case.threshold))
        if not expected[-1]:
            break
    num_steps = len(case.outcomes) + 1
    if is_unknown:
        assert annotation.rejection is not None
        assert annotation.rejection.kind == "ungradable"
        assert values(annotation) == [None] * num_steps
        assert annotation.first_error is None
    else:
        assert annotation.rejection is None
        assert values(annotation) == expected + [None] * (num_steps - len(expected))
        first_error = expected.index(0.0) if 0.0 in expected else None
        assert annotation.first_error == first_error


@settings(deadline=None, max_examples=200)
@given(cases())
def test_soft_labels_are_the_shares_up_to_the_hard_first_error(case: Case) -> None:
    hard = annotate(monte_carlo(case, Order.exhaustive), case.response, case.completer())
    for order in (Order.exhaustive, Order.stop_at_first_error):
        soft = annotate(monte_carlo(case, order, LabelKind.soft), case.response, case.completer())
        assert (soft.first_error, soft.rejection) == (hard.first_error, hard.rejection)
        for label, other in zip(soft.labels, hard.labels, strict=True):
            assert (label.value is None) == (other.value is None)
            if label.value is not None:
                assert (label.value > case.threshold) == (other.value == 1.0)


def test_soft_labels_by_hand() -> None:
    soft = MonteCarlo(num_rollouts=4, labels=LabelKind.soft, order=Order.stop_at_first_error)
    completer = ScriptedCompleter(outcomes=[[R, R, W, R], [R, U, U, W], [W] * 4, [R] * 4])
    annotation = annotate(soft, response(5), completer)
    assert values(annotation) == [0.75, 0.5, 0.0, None, None]
    assert annotation.first_error == 2
    assert [label.num_rollouts for label in annotation.labels] == [4, 4, 4, 0, 0]


@settings(deadline=None, max_examples=200)
@given(cases(thresholds=[0.0]))
def test_binary_search_is_exact_without_luck_after_an_error(case: Case) -> None:
    rows = [row for row in case.outcomes if set(row) & {R, W}]
    num_right = sum(R in row for row in rows)
    rows = [row for row in rows if R in row] + [row for row in rows if R not in row]
    case = replace(case, outcomes=rows, own=R if num_right == len(rows) else W)
    completer = case.completer()
    annotation = annotate(monte_carlo(case, Order.binary_search), case.response, completer)
    check_account(annotation, completer)
    lazy = annotate(monte_carlo(case, Order.lazy), case.response, case.completer())
    assert values(annotation) == values(lazy)


def test_lazy_draws_in_waves_and_stops_at_the_first_success_and_the_first_error() -> None:
    completer = ScriptedCompleter(outcomes=[[R] * 8, [*[W] * 4, R, *[W] * 3], [W] * 8, [R] * 8])
    annotation = annotate(MonteCarlo(), response(5), completer)
    assert values(annotation) == [1.0, 1.0, 0.0, None, None]
    assert [label.num_rollouts for label in annotation.labels] == [1, 6, 8, 0, 0]
    assert {label.source for label in annotation.labels} == {"monte_carlo"}
    assert annotation.details["monte_carlo"] == {
        "first_error": 2,
        "num_rollouts": [1, 6, 8, 0, 0],
        "num_successes": [1, 1, 0, 0, 0],
        "outcomes": {"right": 2, "wrong": 13},
        "answer": None,
    }


def test_the_plain_recipe_draws_every_rollout_of_every_prefix() -> None:
    completer = ScriptedCompleter(outcomes=[[W] * 8, [R] * 8, [U] * 8])
    annotation = annotate(MonteCarlo(order=Order.exhaustive), response(4), completer)
    assert values(annotation) == [0.0, None, None, None]
    assert annotation.ledger.num_generations == 24


def test_a_completer_that_never_ends_makes_steps_wrong_and_is_counted() -> None:
    completer = ScriptedCompleter(outcomes=[[Outcome.CUT_OFF] * 8] * 2)
    annotation = annotate(MonteCarlo(), response(3, R), completer)
    assert annotation.first_error == 0
    assert annotation.details["monte_carlo"]["outcomes"] == {"cut_off": 8}  # type: ignore[index]


def test_a_prefix_without_room_sets_the_response_aside() -> None:
    completer = ScriptedCompleter(outcomes=[[R] * 8, [Outcome.NO_ROOM] * 8])
    annotation = annotate(MonteCarlo(), response(3, R), completer)
    assert annotation.rejection is not None
    assert annotation.rejection.kind == "ungradable"
    assert annotation.ledger.num_generations == 1


@pytest.mark.parametrize("order", Order)
def test_a_single_step_needs_no_rollout(order: Order) -> None:
    for own, expected in ((R, 1.0), (W, 0.0), (Outcome.NO_ANSWER, 0.0)):
        annotation = annotate(
            MonteCarlo(order=order), response(1, own), ScriptedCompleter(outcomes=[])
        )
        assert values(annotation) == [expected]
        assert annotation.ledger.of(Role.POLICY).num_calls == 0


@pytest.mark.parametrize("order", Order)
def test_a_failure_is_no_label(order: Order) -> None:
    with pytest.raises(EngineError, match="it died"):
        annotate(MonteCarlo(order=order), response(3), DeadEngine())


def test_without_a_completer_it_says_what_to_do() -> None:
    with pytest.raises(ConfigurationError, match="policy="):
        annotate(MonteCarlo(), response(3))
    assert MonteCarlo().needs == {Role.POLICY}


def test_what_cannot_be_labeled_is_set_aside_at_no_cost() -> None:
    annotation = annotate(MonteCarlo(), response(3, answer=None), ScriptedCompleter(outcomes=[]))
    assert annotation.rejection is not None
    assert annotation.rejection.kind == "no_reference_answer"
    assert values(annotation) == [None] * 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_rollouts": 0}, "num_rollouts"),
        ({"threshold": 1.0}, "threshold"),
        ({"threshold": -0.1}, "threshold"),
        ({"threshold": float("nan")}, "threshold"),
        ({"waves": []}, "waves"),
        ({"waves": [1, 0]}, "waves"),
        ({"labels": LabelKind.soft}, "stop_at_first_error"),
        ({"labels": LabelKind.soft, "order": Order.binary_search}, "stop_at_first_error"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        MonteCarlo(**settings)  # type: ignore[arg-type]
