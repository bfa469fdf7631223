"""Which problems are learned from, and in which order."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from prm_search.errors import DataError
from prm_search.seeds import derive_seed
from prm_search.types import Problem


def usable_problems(
    problems: Sequence[Problem], question: Callable[[Problem], Sequence[int]], *, max_tokens: int
) -> tuple[list[Problem], int]:
    """Problems that fit into the context, each text once.

    Args:
        problems: as they were loaded.
        question: gives the tokens of a prompt.
        max_tokens: longest prompt.

    Returns:
        The problems, and how many were left out.

    Raises:
        DataError: if none is left.
    """
    chosen: dict[str, Problem] = {}
    for problem in problems:
        if problem.prompt not in chosen and len(question(problem)) <= max_tokens:
            chosen[problem.prompt] = problem
    if not chosen:
        raise DataError(f"no problem has a prompt of at most {max_tokens} tokens")
    return list(chosen.values()), len(problems) - len(chosen)


def draw_order(
    num_problems: int, problems_per_update: int, num_updates: int, *, seed: int
) -> list[int]:
    """The problems of all updates, one after another; each epoch has an order of its own.

    What an update gets depends on its number and the seed, not on how many there are in all.

    Returns:
        [num_updates * problems_per_update] indices of problems, no one twice in an update.

    Raises:
        DataError: if there are fewer problems than an update has.
    """
    if num_problems < problems_per_update:
        raise DataError(
            f"an update has {problems_per_update} problems but there are {num_problems}; lower "
            "trainer.problems_per_update"
        )
    order: list[int] = []
    epoch = 0
    while len(order) < num_updates * problems_per_update:
        indices = list(range(num_problems))
        random.Random(derive_seed(seed, "order", epoch)).shuffle(indices)
        # The end of an epoch that fills no update is left for the next ones.
        order += indices[: num_problems - num_problems % problems_per_update]
        epoch += 1
    return order[: num_updates * problems_per_update]
