"""Adaptive consistency: a majority vote that stops as soon as it is settled.

Aggarwal et al., "Let's sample step by step: adaptive-consistency", arXiv 2305.11860.
"""

from __future__ import annotations

from dataclasses import dataclass

from prm_search.aggregation import Aggregation
from prm_search.budget import Budget
from prm_search.protocols import Generator, Grader, Scorer
from prm_search.search.checks import require_at_most, require_number, require_positive
from prm_search.search.exploration import Exploration
from prm_search.search.leaf import Leaf
from prm_search.search.sampling import sample_until
from prm_search.search.stopping import Posterior, confidence
from prm_search.types import Problem, SearchResult
from prm_search.voting import Selection


@dataclass(frozen=True, kw_only=True, slots=True)
class AdaptiveConsistency:
    """Draws solutions until one answer is ahead for good, and takes it.

    Needs no PRM and never calls one. Samples have the seeds of `BestOfN`, so it sees a beginning
    of what a majority vote with num_samples = max_samples sees. Samples without an answer do not
    vote.
    """

    max_samples: int = 40
    """Solutions to draw at most."""
    confidence: float = 0.95
    """Between 0 and 1: stop when it is this probable that the answer ahead is the policy's most
    frequent one. At 0.95, four samples that agree suffice."""
    posterior: Posterior = Posterior.beta
    """Which answers the one ahead is compared with."""
    max_concurrent: int = 1
    """Solutions drawn side by side, at most max_samples. Those in progress when the vote is
    settled are finished and counted, so that more cost up to max_concurrent - 1 samples and take
    less time."""

    def __post_init__(self) -> None:
        name = "AdaptiveConsistency"
        require_positive(name, max_samples=self.max_samples, max_concurrent=self.max_concurrent)
        require_number(name, low=0, high=1, excludes=(0, 1), confidence=self.confidence)
        require_at_most(name, max_concurrent=self.max_concurrent, max_samples=self.max_samples)

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

        async def is_settled(leaves: list[Leaf]) -> bool:
            groups = await exploration.group_answers(leaves, grader)
            votes = [len(group.members) for group in groups]
            return confidence(votes, self.posterior) >= self.confidence

        await sample_until(
            is_settled,
            exploration,
            max_samples=self.max_samples,
            max_concurrent=self.max_concurrent,
        )
        return await exploration.result(
            selection=Selection.majority, aggregation=Aggregation.product, grader=grader
        )
