r"""Reading a verdict from a critique that ends in `\boxed{index}`."""

from __future__ import annotations

import re

from prm_search.errors import JudgeError
from prm_search.types import Failure, Verdict

_BOXED = re.compile(r"\\boxed\s*\{([^}]*)\}")
_INTEGER = re.compile(r"-?\d+")


def read_boxed_index(critique: str, num_steps: int) -> Verdict | Failure:
    r"""The verdict in a critique's last `\boxed{}`.

    Anything around the integer inside the box is ignored, so `\boxed{paragraph_2}` is 2.

    Args:
        critique: what the judge wrote.
        num_steps: how many steps it was shown, at least 1.

    Returns:
        A verdict, -1 in the box meaning that no step is wrong; or a failure if there is no box,
        no integer in the last one, or no step of that index.
    """
    boxes = _BOXED.findall(critique)
    if not boxes:
        return _unreadable(r"it has no \boxed{}", critique)
    integer = _INTEGER.search(boxes[-1])
    if integer is None:
        return _unreadable(f"no index in \\boxed{{{boxes[-1]}}}", critique)
    index = int(integer.group())
    if not -1 <= index < num_steps:
        return _unreadable(f"index {index}, but there are {num_steps} steps", critique)
    return Verdict(first_error=None if index == -1 else index, critique=critique)


def _unreadable(reason: str, critique: str) -> Failure:
    return Failure.of(
        JudgeError(f"cannot read the critique: {reason}; it ends in {critique[-80:]!r}")
    )
