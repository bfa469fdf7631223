from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prm_search.judging.lessons import LessonsCritique
from prm_search.types import Failure, Verdict

TEMPLATE = LessonsCritique()


def critique(*numbers: int, conclusion: str = "<conclusion>\nIncorrect\n</conclusion>") -> str:
    parts = [f"<analysis_{number}>\nFine.\n</analysis_{number}>" for number in numbers]
    return "\n".join([*parts, conclusion])


def test_paragraphs_are_numbered_from_one() -> None:
    message = TEMPLATE.render(" What is {x}? ", ["One.\n\n", "Two."])

    assert "<math_problem>\nWhat is {x}?\n</math_problem>" in message
    assert "<paragraph_1>\nOne.\n</paragraph_1>\n\n<paragraph_2>\nTwo.\n</paragraph_2>" in message
    assert "<paragraph_0>" not in message


@pytest.mark.parametrize(
    ("text", "first_error"),
    [
        (critique(1, 2, 3, conclusion="<conclusion>Correct</conclusion>"), None),
        (critique(1, 2), 1),
        (critique(1), 0),
        ("<analysis_1>a</analysis_1><analysis_2>b</analysis_3><conclusion>Incorrect", 1),
        (critique(1, 2, conclusion="<Conclusion> **incorrect.** </Conclusion>"), 1),
        ("<analysis_1>a\n<analysis_2>b\n<conclusion>Incorrect</conclusion>", 1),
        (critique(2), 1),
        (critique(1, conclusion="<conclusion>Incorrect</conclusion>" * 2), 0),
        ("<think><conclusion>Correct</conclusion></think>" + critique(1, 2), 1),
        (critique(conclusion="<conclusion>Correct</conclusion>"), None),
    ],
)
def test_the_paragraph_analysed_last_is_wrong_if_the_conclusion_says_so(text, first_error) -> None:
    assert TEMPLATE.parse(text, 3) == Verdict(first_error=first_error, critique=text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "missing"),
        ("<analysis_1>a</analysis_1>", "missing"),
        (critique(1, conclusion="Incorrect"), "missing"),
        (critique(1, conclusion="<conclusion>Correct or Incorrect</conclusion>"), "missing"),
        (critique(1, conclusion="<conclusion>not correct</conclusion>"), "missing"),
        (critique(1, conclusion="<conclusion>Maybe</conclusion>"), "is maybe, not"),
        (critique(1) + critique(conclusion="<conclusion>Correct</conclusion>"), "and incorrect"),
        (critique(), "without an analysis"),
        (critique(2, 1), "not in order"),
        (critique(1, 2, 2), "not in order"),
        (critique(1, 4), "analysis 4, but there are 3 paragraphs"),
        (critique(0), "analysis 0, but there are 3"),
    ],
)
def test_an_unreadable_critique_is_a_failure(text: str, reason: str) -> None:
    failure = TEMPLATE.parse(text, 3)

    assert isinstance(failure, Failure)
    assert failure.kind == "JudgeError"
    assert reason in failure.message


PIECES = ["<analysis_1>", "<analysis_2>", "</analysis_3>", "<conclusion>", "Correct", "Incorrect"]


@given(st.lists(st.sampled_from([*PIECES, "</conclusion>", "</think>", " ", "x"]), max_size=12))
def test_any_text_gives_a_verdict_or_a_failure(pieces: list[str]) -> None:
    outcome = TEMPLATE.parse("".join(pieces), 2)
    if isinstance(outcome, Verdict):
        assert outcome.first_error in (None, 0, 1)


def test_a_message_is_not_read_as_a_critique() -> None:
    assert isinstance(TEMPLATE.parse(TEMPLATE.render("Q?", ["a"]), 1), Failure)
