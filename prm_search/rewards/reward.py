"""What a source says about one rollout.

Spans are characters of the completion, not tokens: the PRM and the policy may have different
tokenizers, and a framework knows its own tokens best.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Protocol, TypeAlias

from prm_search.budget import Ledger
from prm_search.errors import ScoringError
from prm_search.types import Failure, StepScores, Trajectory

Span: TypeAlias = tuple[int, int]
"""[start, end) in characters of the completion."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reward:
    """Step scores and outcome of one rollout, as far as its source gives them."""

    spans: tuple[Span, ...]
    """[num_steps] in ascending order, without overlap. None for an empty completion."""
    scores: StepScores | Failure | None = None
    """[num_steps]; a Failure if they could not be obtained; None if the source gives none."""
    outcome: float | Failure | None = None
    """In [0, 1], 1 for a right answer; a Failure if it could not be told; None if the source
    gives none."""

    def __post_init__(self) -> None:
        ends = [0, *(place for span in self.spans for place in span)]
        if any(start > end for start, end in pairwise(ends)):
            raise ValueError(f"the spans {self.spans} overlap or are not in order")
        if isinstance(self.scores, StepScores) and len(self.scores.values) != len(self.spans):
            raise ScoringError(f"{len(self.scores.values)} scores for {len(self.spans)} steps")
        if isinstance(self.outcome, float | int) and not 0.0 <= self.outcome <= 1.0:
            raise ScoringError(f"the outcome is {self.outcome}; it must be in [0, 1]")

    @property
    def failures(self) -> tuple[Failure, ...]:
        """What could not be obtained."""
        return tuple(part for part in (self.scores, self.outcome) if isinstance(part, Failure))


class RewardSource(Protocol):
    """A PRM, a judge, a verifier, or several of them."""

    @property
    def ledger(self) -> Ledger:
        """What all calls so far have cost, by role."""
        ...

    async def reward(self, rollouts: Sequence[Trajectory]) -> list[Reward]:
        """Rewards of some rollouts, of one problem or several.

        A rollout's reward depends on the rollout alone. What could not be obtained is a
        Failure in its place, also if an engine failed; it is never a score.

        Returns:
            [num_rollouts], in the order given.
        """
        ...


def step_spans(trajectory: Trajectory) -> tuple[Span, ...]:
    """Where each step stands in the completion, its separator included. [num_steps]

    An empty completion has no steps.
    """
    if not trajectory.text.strip():
        return ()
    ends = accumulate((len(step.text) for step in trajectory.steps), initial=0)
    return tuple(pairwise(ends))
