"""Adaptive consistency: a majority vote that stops as soon as it is settled.

Aggarwal et al., "Let's sample step by step: adaptive-consistency", arXiv 2305.11860.
"""

from __future__ import annotations

from dataclasses import dataclass

from prm_search.aggregation import Aggregation
from prm_search.budget import Budget
from prm_search.protocols import Generator, Grader, Scorer
from prm_search.search.checks import require_number, require_positive
from prm_search.search.exploration import Exploration
from prm_search.search.leaf import Leaf
from prm_search.search.sampling import sample_until_enough
from prm_search.search.stopping import Posterior, num_votes_missing, require_reachable
from prm_search.types import Problem, SearchResult
from prm_search.voting import Selection


@dataclass(frozen=True, kw_only=True, slots=True)
class AdaptiveConsistency:
    """Draws solutions until one answer is ahead for good, and takes it.

    Needs no PRM and never calls one. As many solutions are drawn side by side as it takes at
    least, so that no more are drawn than one by one. Samples have the seeds of `BestOfN`, so it
    sees a beginning of what a majority vote with num_samples = max_samples sees. Samples without
    an answer do not vote.
    """

    max_samples: int = 40
    """Solutions to draw at most."""
    confidence: float = 0.95
    """Between 0 and 1: stop when it is this probable that the answer ahead is the policy's most
    frequent one. At 0.95, four samples that agree suffice."""
    posterior: Posterior = Posterior.beta
    """Which answers the one ahead is compared with."""

    def __post_init__(self) -> None:
        name = "AdaptiveConsistency"
        require_positive(name, max_samples=self.max_samples)
        require_number(name, low=0, high=1, excludes=(0, 1), confidence=self.confidence)
        require_reachable(
            name,
            confidence=self.confidence,
            posterior=self.posterior,
            max_samples=self.max_samples,
        )

    @property
    def needs_scorer(self) -> bool:
        """Whether it has to be given a PRM."""
        return False

    async def __call__(
        self,
        problem: Problem,
        *,
        generator: Generator,
        scorer: Scorer | None,
        grader: Grader,
        budget: Budget,
        seed: int,
    ) -> SearchResult:
        """Search for a solution; see `prm_search.protocols.SearchAlgorithm`."""
        exploration = Exploration(
            problem, generator=generator, scorer=None, budget=budget, seed=seed
        )

        async def num_missing(leaves: list[Leaf]) -> int:
            groups = await exploration.group_answers(leaves, grader)
            return num_votes_missing(
                [len(group.members) for group in groups],
                required=self.confidence,
                posterior=self.posterior,
                most=self.max_samples,
            )

        await sample_until_enough(exploration, num_missing, max_samples=self.max_samples)
        return await exploration.result(
            selection=Selection.majority, aggregation=Aggregation.product, grader=grader
        )
