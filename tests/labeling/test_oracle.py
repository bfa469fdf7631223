from __future__ import annotations

import pytest

from prm_search.errors import ConfigurationError
from prm_search.labeling.annotation import Response
from prm_search.labeling.oracle import SandboxOracle
from prm_search.steps import split_text
from prm_search.types import Problem, StopReason, Trajectory
from tests.labeling.scripted import annotate, response, values

PROBLEM = Problem(
    id="p",
    prompt=(
        "Some friends count coins. Ann gets 12. Ben gets 7 more than Ann. "
        "Cat gets 2 fewer than Ben. How many coins does Cat have?"
    ),
    answer="17",
)
ANN = "Ann: 12 is given, so Ann=12."


def solution(*steps: str) -> Response:
    return Response(
        id="r",
        trajectory=Trajectory(problem=PROBLEM).extend(*split_text("\n\n".join(steps), "\n\n")),
    )


def test_its_labels_are_true_up_to_the_first_error() -> None:
    right = solution(
        ANN,
        "Ben: Ann=12 and 12+7=19, so Ben=19.",
        "Cat: Ben=19 and 19-2=17, so Cat=17.",
        "The answer is \\boxed{17}.",
    )
    annotation = annotate(SandboxOracle(), right)
    assert values(annotation) == [1.0] * 4
    assert annotation.first_error is None
    flawed = solution(
        ANN,
        "Ben: Ann=12 and 12+7=20, so Ben=20.",
        "Cat: Ben=20 and 20-2=18, so Cat=18.",
        "The answer is \\boxed{18}.",
    )
    annotation = annotate(SandboxOracle(), flawed)
    assert values(annotation) == [1.0, 0.0, None, None]
    assert annotation.first_error == 1
    assert annotation.details["oracle"] == {
        "first_error": 1,
        "errors": [None, "arithmetic", None, None],
    }
    assert {label.source for label in annotation.labels} == {"oracle"}
    assert SandboxOracle().needs == frozenset()


def test_a_response_that_did_not_end_is_set_aside() -> None:
    steps = solution(ANN, "Ben: Ann=12").trajectory.steps
    cut = Trajectory(problem=PROBLEM, steps=steps[:1])
    assert cut.stop_reason is StopReason.STEP
    annotation = annotate(SandboxOracle(), Response(id="r", trajectory=cut))
    assert annotation.rejection is not None
    assert annotation.rejection.kind == "unfinished"


def test_it_knows_no_other_problems() -> None:
    with pytest.raises(ConfigurationError, match="data=sandbox"):
        annotate(SandboxOracle(), response(3))
