"""Sandbox problems, drawn from a seed into disjoint splits.

The split of a problem is decided by a hash of its text, so no problem of one split can ever be
drawn for another, whatever the seed.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from prm_search.data.loaded import Loaded
from prm_search.errors import ConfigurationError
from prm_search.sandbox.wording import write_problem
from prm_search.sandbox.world import LEVELS, World, draw_world
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


@dataclass(frozen=True, kw_only=True, slots=True)
class SandboxProblems:
    """A data set of sandbox problems."""

    split: Split = Split.test
    """The splits have no problem in common."""
    num_problems: int = 200
    """Problems to draw; the levels take turns."""
    levels: list[int] = field(default_factory=lambda: list(LEVELS))
    """1 (two or three operations) to 5 (ten to twelve)."""
    seed: int = 0
    """Which problems are drawn. Not the seed of the search."""

    def __post_init__(self) -> None:
        if self.num_problems < 1:
            raise ConfigurationError(f"num_problems must be at least 1, not {self.num_problems}")
        unknown = sorted(set(self.levels) - set(LEVELS))
        if unknown or not self.levels:
            raise ConfigurationError(f"levels must be some of {list(LEVELS)}, not {self.levels}")

    def load(self) -> Loaded:
        """Draw the problems."""
        problems = draw_problems(self.split, self.num_problems, self.levels, self.seed)
        return Loaded(problems=tuple(problems), set_aside=())
