from __future__ import annotations

import pytest
from hypothesis import given, settings

from prm_search.budget import Role
from prm_search.errors import ConfigurationError, EngineError
from prm_search.labeling.annotation import Annotation
from prm_search.labeling.rollouts import Outcome
from prm_search.labeling.witness_sharing import WitnessOrder, WitnessSharing
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
UNDECIDED = {U, Outcome.NO_ROOM}


def label(case: Case, order: WitnessOrder) -> Annotation:
    completer = case.completer()
    annotator = WitnessSharing(num_rollouts=case.num_rollouts, waves=case.waves, order=order)
    annotation = annotate(annotator, case.response, completer)
    check_account(annotation, completer)
    return annotation


@settings(deadline=None, max_examples=300)
@given(cases(thresholds=[0.0]))
def test_backward_is_what_all_rollouts_say(case: Case) -> None:
    annotation = label(case, WitnessOrder.backward)
    rows = [*case.outcomes, [case.own]]
    last = max((step for step, row in enumerate(rows) if R in row), default=-1)
    is_unknown = any(set(row) <= UNDECIDED for row in rows[last + 1 :])
    if is_unknown:
        assert annotation.rejection is not None
        assert annotation.rejection.kind == "ungradable"
        assert set(values(annotation)) == {None}
        return
    assert annotation.rejection is None
    num_wrong = len(rows) - 1 - last
    expected = [1.0] * (last + 1) + [0.0] * min(num_wrong, 1) + [None] * (num_wrong - 1)
    assert values(annotation) == expected
    assert annotation.first_error == (None if num_wrong == 0 else last + 1)


@settings(deadline=None, max_examples=300)
@given(cases(thresholds=[0.0]))
def test_binary_search_is_never_later_and_each_right_step_has_a_witness(case: Case) -> None:
    annotation, backward = (
        label(case, WitnessOrder.binary_search),
        label(case, WitnessOrder.backward),
    )
    rows = [*case.outcomes, [case.own]]
    if annotation.rejection is None:
        end = len(rows) if annotation.first_error is None else annotation.first_error
        assert end == 0 or any(R in row for row in rows[end - 1 :])
        if backward.rejection is None:
            assert end <= (len(rows) if backward.first_error is None else backward.first_error)
    own_labels = [R in row for row in rows]
    is_monotone = own_labels == sorted(own_labels, reverse=True)
    if is_monotone and not any(set(row) <= UNDECIDED for row in rows):
        assert values(annotation) == values(backward)


@pytest.mark.parametrize("order", WitnessOrder)
def test_a_right_response_is_its_own_witness(order: WitnessOrder) -> None:
    completer = ScriptedCompleter(outcomes=[[W] * 8] * 4)
    annotation = annotate(WitnessSharing(order=order), response(5, R), completer)
    assert values(annotation) == [1.0] * 5
    assert annotation.ledger.num_generations == 0


def test_a_late_witness_vouches_for_an_unlucky_step() -> None:
    completer = ScriptedCompleter(outcomes=[[W] * 8, [R] * 8, [W] * 8])
    annotation = annotate(WitnessSharing(order=WitnessOrder.backward), response(4), completer)
    assert values(annotation) == [1.0, 1.0, 0.0, None]
    assert [each.num_rollouts for each in annotation.labels] == [0, 1, 8, 0]
    assert {each.source for each in annotation.labels} == {"witness_sharing"}


@pytest.mark.parametrize("order", WitnessOrder)
def test_a_failure_is_no_label(order: WitnessOrder) -> None:
    with pytest.raises(EngineError):
        annotate(WitnessSharing(order=order), response(3), DeadEngine())


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="num_rollouts"):
        WitnessSharing(num_rollouts=0)
    with pytest.raises(ConfigurationError, match="waves"):
        WitnessSharing(waves=[])
    with pytest.raises(ConfigurationError, match="policy="):
        annotate(WitnessSharing(), response(3))
    assert WitnessSharing().needs == {Role.POLICY}
