from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import product
from math import ceil, log2

from prm_search.labeling.first_error import (
    Check,
    deciding_checks,
    scan_backward,
    scan_forward,
    search_binary,
)

PATTERNS = [pattern for size in range(1, 7) for pattern in product([True, False], repeat=size)]


def run(
    search: Callable[[Check, int], Awaitable[int | None]], are_right: Sequence[bool]
) -> tuple[int | None, list[int]]:
    """What is found, and which steps were checked."""
    checked: list[int] = []

    async def check(step: int) -> bool:
        checked.append(step)
        return are_right[step]

    async def find() -> int | None:
        return await search(check, len(are_right))

    return asyncio.run(find()), checked


def test_forward_finds_the_first_wrong_step_and_looks_no_further() -> None:
    for pattern in PATTERNS:
        expected = pattern.index(False) if False in pattern else None
        found, checked = run(scan_forward, pattern)
        assert found == expected
        assert checked == list(range(len(pattern) if expected is None else expected + 1))


def test_backward_finds_the_step_after_the_last_right_one() -> None:
    for pattern in PATTERNS:
        last = max((step for step, is_right in enumerate(pattern) if is_right), default=-1)
        found, checked = run(scan_backward, pattern)
        assert found == (None if last == len(pattern) - 1 else last + 1)
        assert checked == list(range(len(pattern) - 1, max(last, 0) - 1, -1))


def test_all_orders_agree_where_no_step_after_a_wrong_one_is_right() -> None:
    for size in range(1, 20):
        for first_error in range(size + 1):
            pattern = [step < first_error for step in range(size)]
            found = {run(search, pattern)[0] for search in (scan_forward, scan_backward)}
            binary, checked = run(search_binary, pattern)
            assert found == {binary} == {first_error if first_error < size else None}
            assert len(checked) <= 1 + ceil(log2(size))


def test_binary_search_names_an_error_no_later_than_backward() -> None:
    for pattern in PATTERNS:
        binary, backward = run(search_binary, pattern)[0], run(scan_backward, pattern)[0]
        if backward is None:
            assert binary is None
        else:
            assert binary is not None
            assert binary <= backward


def test_the_deciding_checks_hold_exactly_for_the_first_error() -> None:
    for pattern in PATTERNS:
        first_error = run(scan_forward, pattern)[0]
        for claimed in (None, *range(len(pattern))):
            checks = deciding_checks(claimed, len(pattern))
            assert len({step for step, _ in checks}) == len(checks)
            holds = all(pattern[step] is expected for step, expected in checks)
            assert holds == (claimed == first_error)


def test_the_cheapest_checks_come_first() -> None:
    assert deciding_checks(None, 3) == [(2, True), (1, True), (0, True)]
    assert deciding_checks(2, 3) == [(2, False), (1, True), (0, True)]
    assert deciding_checks(2, 5) == [(1, True), (2, False), (0, True)]
    assert deciding_checks(0, 5) == [(0, False)]
