"""Find the final answer in a solution.

Every pattern is matched in time linear in the length of the solution, whatever it holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum


class AnswerPattern(StrEnum):
    """A way in which solutions state their final answer."""

    boxed = "boxed"
    r"""The last balanced \boxed{…} or \fbox{…} (MATH)."""
    hashes = "hashes"
    """A last line that begins with #### (GSM8K)."""
    answer_is = "answer_is"
    """The last "the answer is …", "Answer: …", "answer = …"."""


def extract_answer(
    solution: str, patterns: Iterable[AnswerPattern] = tuple(AnswerPattern)
) -> str | None:
    r"""The final answer that a solution states, or None if it states none.

    Args:
        solution: the whole text; may be cut off anywhere.
        patterns: tried in this order; the first that finds an answer decides.

    Example:
        >>> extract_answer(r"So $x = \boxed{\frac{1}{2}}$.")
        '\\frac{1}{2}'
        >>> extract_answer("The final answer is $12$ apples.")
        '12'
    """
    for pattern in patterns:
        answer = _FINDERS[pattern](solution)
        if answer:
            return answer
    return None


# An escaped character is one token, so that \{ and \} are not taken for braces.
_TEX_TOKEN = re.compile(r"\\(?:boxed|fbox)\s*\{|\\.|[{}]", re.DOTALL)
_BOX_START = re.compile(r"\s*\\(?:boxed|fbox)\s*\{")


def _boxed(solution: str) -> str | None:
    open_braces: list[int | None] = []  # where a box's content starts; None for other braces
    ends: dict[int, int] = {}  # start of a box's content -> its end
    last: tuple[int, int] | None = None
    for token in _TEX_TOKEN.finditer(solution):
        text = token.group()
        if text == "}":
            start = open_braces.pop() if open_braces else None
            if start is not None:
                last = (start, token.start())
                ends[start] = token.start()
        elif text.endswith("{") and text != r"\{":
            open_braces.append(None if text == "{" else token.end())
    if last is None:
        return None
    start, end = last
    while inner := _BOX_START.match(solution, start, end):  # a box in a box is one box
        inner_end = ends.get(inner.end())
        if inner_end is None or solution[inner_end + 1 : end].strip():
            break
        start, end = inner.end(), inner_end
    return solution[start:end].strip()


def _hashes(solution: str) -> str | None:
    # Only as the last line: elsewhere it is a Markdown heading.
    last_line = solution.rstrip().rpartition("\n")[2].strip()
    return last_line.removeprefix("####").strip() if last_line.startswith("####") else None


_ANSWER_IS = re.compile(
    r"\banswers?(?:\s*(?:\*+\s*)?[:=]|\b[^.:=\n]{0,60}?\s(?:is|are)\b)[\s:=*]*", re.IGNORECASE
)
_SENTENCE_END = re.compile(r"\.(?=[\s*]|\Z)|\n|\Z")
_MATH_DELIMITERS = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"))


def _answer_is(solution: str) -> str | None:
    starts = [match.end() for match in _ANSWER_IS.finditer(solution)]
    if not starts:
        return None
    end = _SENTENCE_END.search(solution, starts[-1])
    sentence = solution[starts[-1] : end.start() if end else None].strip().strip("*").strip()
    for opening, closing in _MATH_DELIMITERS:
        if sentence.startswith(opening):
            content, found, rest = sentence[len(opening) :].partition(closing)
            # "$12$ apples" means 12, but "$3$ and $4$" means both.
            return content.strip() if found and opening not in rest else sentence
    return sentence


_FINDERS = {
    AnswerPattern.boxed: _boxed,
    AnswerPattern.hashes: _hashes,
    AnswerPattern.answer_is: _answer_is,
}
