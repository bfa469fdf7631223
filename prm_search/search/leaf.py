"""The ends of the paths that a search has explored, and their ranking."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from prm_search.aggregation import Aggregation, aggregate
from prm_search.types import Candidate, Failure, StepScores, Trajectory

Path: TypeAlias = tuple[int, ...]
"""Which child to take at each depth, from the root on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Leaf:
    """The end of a path that a search has explored."""

    path: Path
    trajectory: Trajectory
    scores: StepScores | None = None
    failure: Failure | None = None
    """Why there are no scores, if scoring was tried."""

    def as_candidate(self) -> Candidate:
        """The solution that ends here."""
        return Candidate(trajectory=self.trajectory, scores=self.scores, failure=self.failure)


def rank(leaves: Sequence[Leaf], aggregation: Aggregation) -> list[Leaf]:
    """Leaves from best to worst; those without scores come last, ties from left to right."""

    def key(leaf: Leaf) -> tuple[bool, float, Path]:
        if leaf.scores is None:
            return True, 0.0, leaf.path
        return False, -aggregate(leaf.scores, aggregation), leaf.path

    return sorted(leaves, key=key)
