"""Adaptive best-of-N: stops when the vote is settled and the PRM agrees with it.

The rule for the vote is that of Aggarwal et al., arXiv 2305.11860. That the solution which the
PRM likes best must give the same answer keeps a policy's habitual error, on which samples agree
early, from ending the search.
"""

from __future__ import annotations

from dataclasses import dataclass

from prm_search.aggregation import Aggregation
from prm_search.budget import Budget
from prm_search.protocols import Generator, Grader, Scorer
from prm_search.search.checks import (
    require_at_most,
    require_number,
    require_positive,
    require_scorer,
)
from prm_search.search.exploration import Exploration
from prm_search.search.leaf import Leaf, rank
from prm_search.search.sampling import sample_until
from prm_search.search.stopping import Posterior, confidence
from prm_search.types import Problem, SearchResult
from prm_search.voting import Selection


@dataclass(frozen=True, kw_only=True, slots=True)
class AdaptiveBestOfN:
    """Draws solutions until vote and PRM agree on an answer that is ahead for good.

    Samples have the seeds of `BestOfN`, so it sees a beginning of what best-of-N with
    num_samples = max_samples sees.
    """

    max_samples: int = 16
    """Solutions to draw at most."""
    confidence: float = 0.95
    """Between 0 and 1: how probable it must be that the answer with the most votes is the
    policy's most frequent one."""
    posterior: Posterior = Posterior.beta
    """Which answers the one ahead is compared with."""
    max_concurrent: int = 1
    """Solutions drawn side by side, at most max_samples. Those in progress when the search is
    settled are finished and counted, so that more cost up to max_concurrent - 1 samples and take
    less time."""
    aggregation: Aggregation = Aggregation.product
    """How step scores become the score of a solution."""
    selection: Selection = Selection.weighted
    """How the best candidate is chosen, settled or not."""

    def __post_init__(self) -> None:
        name = "AdaptiveBestOfN"
        require_positive(name, max_samples=self.max_samples, max_concurrent=self.max_concurrent)
        require_number(name, low=0, high=1, excludes=(0, 1), confidence=self.confidence)
        require_at_most(name, max_concurrent=self.max_concurrent, max_samples=self.max_samples)

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
            problem,
            generator=generator,
            scorer=require_scorer(scorer, "AdaptiveBestOfN"),
            budget=budget,
            seed=seed,
        )

        async def is_settled(leaves: list[Leaf]) -> bool:
            groups = await exploration.group_answers(leaves, grader)
            votes = [len(group.members) for group in groups]
            if confidence(votes, self.posterior) < self.confidence:
                return False
            ahead = max(groups, key=lambda group: len(group.members))
            answered = [leaves[member] for group in groups for member in group.members]
            best = rank(answered, self.aggregation)[0]
            return best.scores is not None and any(
                leaves[member] is best for member in ahead.members
            )

        await sample_until(
            is_settled,
            exploration,
            max_samples=self.max_samples,
            max_concurrent=self.max_concurrent,
        )
        return await exploration.result(
            selection=self.selection, aggregation=self.aggregation, grader=grader
        )
