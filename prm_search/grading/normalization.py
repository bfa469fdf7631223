r"""Trivial differences between answers, removed without any mathematics.

Two answers that are then the same string are equivalent, and most comparisons end here.
"""

from __future__ import annotations

import re

# (?<!\\): the second backslash of a line break \\ begins no command.
_NO_SPACE = re.compile(r"(?<!\\)\\!")
_SPACING = re.compile(r"(?<!\\)\\(?:[,;:> ]|q?quad(?![a-zA-Z]))|~|\s")
_DELIMITER = re.compile(r"(?<!\\)\\[()\[\]]|\\?\$")
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(?:(?:,|\{,\}| )\d{3})+(?:\.\d+)?")
_TEXT = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mbox)\s*\{([^{}\\]*)\}")
_AROUND_OPERATOR = re.compile(r" ?([,;(){}\[\]=<>+*/^-]) ?")
_SYNONYMS = (
    (re.compile(r"\\[dt]frac(?![a-zA-Z])"), r"\\frac"),
    (re.compile(r"\\(?:left|right)(?![a-zA-Z])"), ""),
    (re.compile(r"\\%"), "%"),
)
_LETTERS = re.compile(r"[a-zA-Z]+(?: [a-zA-Z]+)*")
_LONG_WORD = re.compile(r"[a-zA-Z]{4}")


def clean(answer: str) -> str:
    r"""An answer without math delimiters, currency signs, odd spacing and a final period.

    Thousands separators are removed from an answer that is one number.

    Example:
        >>> clean(r" $1,\!234$. ")
        '1234'
    """
    text = _SPACING.sub(" ", _DELIMITER.sub("", _NO_SPACE.sub("", answer)))
    text = " ".join(text.split()).removesuffix(".").rstrip()
    if _THOUSANDS.fullmatch(text):
        text = re.sub(r"[, {}]", "", text)
    return text


def normalize(answer: str) -> str:
    r"""The form in which two answers are compared as strings.

    Example:
        >>> normalize(r"\left( 3, \dfrac{1}{2} \right)") == normalize(r"(3,\frac{1}{2})")
        True
    """
    text = clean(answer)
    if wrapped := _TEXT.fullmatch(text):
        text = clean(wrapped[1])
    for pattern, replacement in _SYNONYMS:
        text = pattern.sub(replacement, text)
    return _AROUND_OPERATOR.sub(r"\1", " ".join(text.split()))


def same_words(first: str, second: str) -> bool | None:
    r"""Whether two answers in plain words are the same, or None if they are not both words.

    Mathematics would read a word as a product of variables, so that "east" equals "seat".
    """
    texts = [normalize(answer) for answer in (first, second)]
    if not all(_LETTERS.fullmatch(text) for text in texts):
        return None
    is_marked = any(_TEXT.fullmatch(clean(answer)) for answer in (first, second))
    if not is_marked and not any(_LONG_WORD.search(text) for text in texts):
        return None
    return texts[0].casefold() == texts[1].casefold()
