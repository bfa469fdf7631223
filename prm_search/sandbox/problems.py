"""Sandbox problems, drawn from a seed into disjoint splits.

The split of a problem is decided by a hash of its text, so no problem of one split can ever be
drawn for another, whatever the seed.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from enum import StrEnum

from prm_search.sandbox.wording import write_problem
from prm_search.sandbox.world import World, draw_world
from prm_search.seeds import derive_seed
from prm_search.types import Problem


class Split(StrEnum):
    """Which part of all sandbox problems: 90 %, 5 % and 5 %."""

    train = "train"
    dev = "dev"
    test = "test"


def split_of(prompt: str) -> Split:
    """The split that a problem text belongs to."""
    place = int.from_bytes(hashlib.blake2b(prompt.encode(), digest_size=4).digest(), "big") % 100
    return Split.train if place < 90 else Split.dev if place < 95 else Split.test


def draw_split_world(rng: random.Random, level: int, split: Split) -> World:
    """Draw a world whose problem text belongs to a split."""
    while True:
        world = draw_world(rng, level)
        if split_of(write_problem(world)) is split:
            return world


def draw_problems(
    split: Split, num_problems: int, levels: Sequence[int], seed: int
) -> list[Problem]:
    """Draw distinct problems, the levels taking turns.

    Returns:
        [num_problems] problems with `metadata["level"]` and `metadata["oracle"]`.
    """
    problems: dict[str, Problem] = {}
    rng = random.Random(derive_seed(seed, "sandbox", split))
    while len(problems) < num_problems:
        level = levels[len(problems) % len(levels)]
        world = draw_split_world(rng, level, split)
        prompt = write_problem(world)
        if prompt not in problems:
            problems[prompt] = Problem(
                id=f"{split}-{seed}-{len(problems)}",
                prompt=prompt,
                answer=str(world.answer),
                metadata={"level": level, "oracle": "sandbox"},
            )
    return list(problems.values())
