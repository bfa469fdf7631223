"""How many tokens of the policy each step has, where a framework gives token ids alone."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import pairwise


def step_sizes(
    token_ids: Sequence[int], ends: Sequence[int], decode: Callable[[Sequence[int]], str]
) -> list[int]:
    """Tokens of each step; for an empty completion all tokens as one step.

    A token belongs to the step that holds its last character, what follows the last step to
    that one.

    Args:
        token_ids: [num_tokens] of the response.
        ends: [num_steps] where the steps end, in characters of the completion.
        decode: the text of the first tokens, as the completion was made of all of them.
    """
    places = [0]
    for end in ends[:-1]:
        places.append(
            bisect_right(
                range(len(token_ids) + 1),
                end,
                lo=places[-1],
                key=lambda size: len(decode(token_ids[:size])),
            )
            - 1
        )
    return [end - start for start, end in pairwise([*places, len(token_ids)])]
