from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prm_search.grading import normalize
from prm_search.grading.normalization import clean, same_words


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("12", " 12. "),
        ("$12$", "12"),
        (r"\$12", "12"),
        (r"\(12\)", "12"),
        (r"\[12\]", "12"),
        ("1,234", "1234"),
        (r"1,\!234,\!567", "1234567"),
        ("1{,}234.5", "1234.5"),
        (r"10\,000", "10000"),
        ("-1 000", "-1000"),
        (r"\dfrac{1}{2}", r"\frac{1}{2}"),
        (r"\left( 3, \tfrac{1}{2} \right)", r"(3,\frac{1}{2})"),
        (r"\text{Evelyn}", "Evelyn"),
        (r"\text{(A)}", "(A)"),
        (r"50\%", "50%"),
        ("x + 1", "x+1"),
    ],
)
def test_trivial_differences_disappear(first: str, second: str) -> None:
    assert normalize(first) == normalize(second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("2 1/2", "21/2"),
        ("100, 200", "100200"),
        ("1,23", "123"),
        ("12", "13"),
        ("-5", "5"),
        (r"\leftarrow", "arrow"),
        (r"\begin{pmatrix}1\\ 2\end{pmatrix}", r"\begin{pmatrix}1 2\end{pmatrix}"),
        (r"\begin{pmatrix}1\\[2pt]\end{pmatrix}", r"\begin{pmatrix}1\2pt\end{pmatrix}"),
    ],
)
def test_real_differences_stay(first: str, second: str) -> None:
    assert normalize(first) != normalize(second)


@given(st.integers(min_value=-(10**15), max_value=10**15))
def test_numbers_survive_their_separators(number: int) -> None:
    for written in (f"{number:,}", f"{number:,}".replace(",", r",\!"), f"${number}$."):
        assert clean(written) == str(number)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("east", "seat", False),
        (r"\text{East}", "east", True),
        (r"\text{no}", "on", False),
        ("xy", "yx", None),
        ("12", "east", None),
    ],
)
def test_words_are_compared_as_words(first: str, second: str, expected: bool | None) -> None:
    assert same_words(first, second) is expected
    assert same_words(second, first) is expected


@pytest.mark.parametrize("piece", ["\\", " ", "\\,", "1,000", ",", "{", "\\text{", "$", "a "])
def test_megabytes_take_linear_time(piece: str) -> None:
    hostile = piece * (1_000_000 // len(piece))
    started = time.process_time()
    normalize(hostile)
    assert time.process_time() - started < 15
