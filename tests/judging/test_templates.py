from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prm_search.judging.boxed import read_boxed_index
from prm_search.judging.processbench import ProcessBenchCritique
from prm_search.judging.sandbox import SandboxCritique, render
from prm_search.types import Failure, Verdict


@pytest.mark.parametrize(
    ("critique", "first_error"),
    [
        (r"All good. \boxed{-1}", None),
        (r"Paragraph 2 adds wrongly. \boxed{2}", 2),
        (r"First I thought \boxed{0}, but no: \boxed{ 1 }", 1),
        (r"\boxed{paragraph_2}", 2),
        (r"\boxed {$-1$}", None),
    ],
)
def test_the_last_box_is_the_verdict(critique, first_error):
    assert read_boxed_index(critique, 3) == Verdict(first_error=first_error, critique=critique)


@pytest.mark.parametrize(
    "critique", ["", "no error", r"\boxed{none}", r"\boxed{3}", r"\boxed{-2}", r"\boxed{1", "{1}"]
)
def test_an_unreadable_critique_is_a_failure(critique):
    failure = read_boxed_index(critique, 3)

    assert isinstance(failure, Failure)
    assert failure.kind == "JudgeError"


@given(st.text(max_size=200), st.integers(1, 5))
def test_any_text_gives_a_verdict_or_a_failure(critique, num_steps):
    outcome = read_boxed_index(critique, num_steps)
    if isinstance(outcome, Verdict):
        assert outcome.first_error is None or 0 <= outcome.first_error < num_steps


def test_processbench_numbers_paragraphs_from_zero():
    message = ProcessBenchCritique().render("What is {x}?", ["One.\n\n", "Two."])

    assert "<paragraph_0>\nOne.\n</paragraph_0>\n\n<paragraph_1>\nTwo.\n</paragraph_1>" in message
    assert "What is {x}?" in message
    assert r"\boxed{}" in message


def test_sandbox_judges_see_the_problem_and_the_solution():
    assert render("Q?", ["a.\n\n", "b.\n\n"]) == "Q?\n\nCheck:\na.\n\nb."
    assert SandboxCritique().render("Q?", ["a."]) == "Q?\n\nCheck:\na."
    assert SandboxCritique().parse("0 right\n1 wrong\n\\boxed{1}", 2) == Verdict(
        first_error=1, critique="0 right\n1 wrong\n\\boxed{1}"
    )
