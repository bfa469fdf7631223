"""Orders in which the steps of a response are checked until its first error is known.

All of them see the steps through a check, so the same code labels responses and simulates what
their labeling costs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

Check: TypeAlias = Callable[[int], Awaitable[bool]]
"""Whether the step of that 0-based index is right."""


async def scan_forward(check: Check, num_steps: int) -> int | None:
    """The first step that is not right, None if there is none."""
    for step in range(num_steps):
        if not await check(step):
            return step
    return None


async def scan_backward(check: Check, num_steps: int) -> int | None:
    """The step after the last one that is right, None if that is the last of all."""
    for step in reversed(range(num_steps)):
        if await check(step):
            return step + 1 if step + 1 < num_steps else None
    return 0


async def bisect(check: Check, low: int, high: int) -> int:
    """A step in [low, high] that is not right, or is `high`, after one that is, or `low`.

    The first that is not right, if no step after a wrong one is right. At most
    log2(high - low + 1) checks, rounded up. Of two middles it takes the earlier one, because a
    step is the likelier to be right, and so the cheaper to check, the earlier it is.
    """
    while low < high:
        middle = (low + high - 1) // 2
        if await check(middle):
            low = middle + 1
        else:
            high = middle
    return low


async def search_binary(check: Check, num_steps: int) -> int | None:
    """The first error by binary search (OmegaPRM, arXiv 2406.06592, section 3.2).

    The last step comes first, and if it is right, the response counts as right.
    """
    if await check(num_steps - 1):
        return None
    return await bisect(check, 0, num_steps - 1)


def deciding_checks(claimed: int | None, num_steps: int) -> list[tuple[int, bool]]:
    """The checks that tell whether a scan forward would find the claimed first error.

    It would exactly if each step has the state given here, so the order is free and only
    matters for how soon a false claim is refuted. The last step comes first, because its check
    costs nothing. Then the step before the claimed one: if the error was made earlier, it most
    likely fails too. The claimed step is next, and the others follow from the latest to the
    earliest.

    Args:
        claimed: 0-based index; None means that every step is right.

    Returns:
        Steps, and whether each has to be right.
    """
    last = num_steps - 1
    if claimed is None:
        return [(step, True) for step in range(last, -1, -1)]
    before = [(step, True) for step in range(claimed - 1, -1, -1)]
    position = 0 if claimed == last else 1
    return [*before[:position], (claimed, False), *before[position:]]
