from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prm_search.grading import AnswerPattern, extract_answer


@pytest.mark.parametrize(
    ("solution", "answer"),
    [
        (r"So \boxed{12}.", "12"),
        (r"\boxed{ 12 }", "12"),
        (r"First \boxed{1}, no: \boxed{2}.", "2"),
        (r"$\boxed{\frac{1}{\sqrt{2}}}$", r"\frac{1}{\sqrt{2}}"),
        (r"\boxed {3}", "3"),
        (r"\fbox{7}", "7"),
        (r"\boxed{\boxed{3}}", "3"),
        (r"\boxed{ \fbox{\boxed{x^{2}}} }", "x^{2}"),
        (r"\boxed{x = \boxed{3}}", r"x = \boxed{3}"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{\left\{ \frac{1}{2} \right.}", r"\left\{ \frac{1}{2} \right."),
        (r"\boxed{12} and then \boxed{\frac{1}{2", "12"),  # cut off
        (r"\boxed{\frac{1}{2 and \boxed{5}", "5"),
        (r"} } \boxed{4}", "4"),
        (r"\boxed{}", None),
        (r"\boxed{\frac{1}{2}", None),
        (r"\boxed 5", None),
        ("", None),
        ("No result here.", None),
        ("The answer is 12.", "12"),
        ("The answer is 3.5.", "3.5"),
        ("the final answer is: $12$ apples.", "12"),
        ("The answer is $3$ and $4$.", "$3$ and $4$"),
        (r"The answer is \(\frac12\).", r"\frac12"),
        ("The answer is $12.", "$12"),
        ("Answer: 12", "12"),
        ("**Answer:** 12", "12"),
        ("**Final answer**: **12**", "12"),
        ("Final Answer:\n\n12\n", "12"),
        ("ANSWER = 12", "12"),
        ("The answer to the question is 12", "12"),
        ("The answers are 2, 3", "2, 3"),
        ("The answer is 1. Wait. The answer is 2. I hope it is correct.", "2"),
        ("Final Answer: The final answer is $12$. I hope it is correct.", "12"),
        ("So 48 / 2 = 24.\n#### 72", "72"),
        ("#### -1,234\n\n", "-1,234"),
        ("#### Step 1\nWe add.\nThe answer is 5", "5"),  # a heading, no answer
        (r"The answer is 1, so \boxed{2}." + "\n#### 3", "2"),  # the default order
    ],
)
def test_extracts_the_final_answer(solution: str, answer: str | None) -> None:
    assert extract_answer(solution) == answer


def test_the_order_of_patterns_is_configurable() -> None:
    solution = "The answer is 1, so \\boxed{2}.\n#### 3"
    assert extract_answer(solution, [AnswerPattern.hashes, AnswerPattern.boxed]) == "3"
    assert extract_answer(solution, [AnswerPattern.answer_is]) == r"1, so \boxed{2}"
    assert extract_answer("12", [AnswerPattern.hashes]) is None


balanced = st.recursive(
    st.text("abc123+-=\\ ", max_size=5).map(lambda text: text.replace("\\", r"\{")),
    lambda inner: st.lists(st.one_of(inner, inner.map(lambda text: "{" + text + "}"))).map("".join),
)


@given(before=st.text(r"abc{}\$# ", max_size=20), content=balanced, after=st.text("abc $.\n"))
def test_a_balanced_box_is_found_behind_anything(before: str, content: str, after: str) -> None:
    expected = content.strip() or None
    solution = before + "\n\\boxed{" + content + "}" + after
    assert extract_answer(solution, [AnswerPattern.boxed]) == expected


@given(st.text(alphabet="\\boxedfr{}$#answeri :=.*\n"))
def test_any_text_is_survived(solution: str) -> None:
    answer = extract_answer(solution)
    assert answer is None or (answer and answer == answer.strip())


@pytest.mark.parametrize(
    "piece",
    [
        "{",
        "}",
        "{}",
        "\\",
        "\\boxed",
        "\\boxed{",
        "\\boxed ",
        "\\boxed{1}",
        "answer",
        "answer ",
        "answer is ",
        "answer * ",
        "answer is $",
        "$",
        "####",
        "####\n",
        " ",
        "\n",
        ".",
        "\\( \\)",
    ],
)
def test_megabytes_take_linear_time(piece: str) -> None:
    hostile = piece * (2_000_000 // len(piece))
    started = time.process_time()
    for solution in (hostile, "The answer is $" + hostile, "answer" + hostile + "answer is 3"):
        extract_answer(solution)
    assert time.process_time() - started < 15  # quadratic time would be hours


def test_boxes_nested_a_hundred_thousand_deep_take_linear_time() -> None:
    depth = 100_000
    started = time.process_time()
    assert extract_answer("\\boxed{" * depth + "5" + "}" * depth) == "5"
    assert time.process_time() - started < 10
