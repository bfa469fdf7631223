"""Adaptive best-of-N: stops when the vote is settled and the PRM agrees with it.

The rule for the vote is that of Aggarwal et al., arXiv 2305.11860. That the solution which the
PRM likes best must give the same answer keeps a policy's habitual error, on which samples agree
early, from ending the search.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prm_search.aggregation import Aggregation
from prm_search.budget import Budget
from prm_search.protocols import Generator, Grader, Scorer
from prm_search.search.checks import (
    require_number,
    require_positive,
    require_scorer,
)
from prm_search.search.exploration import Exploration
from prm_search.search.leaf import Leaf, rank
from prm_search.search.sampling import sample_until_enough
from prm_search.search.stopping import Posterior, num_votes_missing, require_reachable
from prm_search.types import Problem, SearchResult
from prm_search.voting import AnswerGroup, Selection


@dataclass(frozen=True, kw_only=True, slots=True)
class AdaptiveBestOfN:
    """Draws solutions until vote and PRM agree on an answer that is ahead for good.

    As many solutions are drawn side by side as it takes at least, so that no more are drawn than
    one by one. Samples have the seeds of `BestOfN`, so it sees a beginning of what best-of-N with
    num_samples = max_samples sees.
    """

    max_samples: int = 16
    """Solutions to draw at most."""
    confidence: float = 0.95
    """Between 0 and 1: how probable it must be that the answer with the most votes is the
    policy's most frequent one."""
    posterior: Posterior = Posterior.beta
    """Which answers the one ahead is compared with."""
    aggregation: Aggregation = Aggregation.product
    """How step scores become the score of a solution."""
    selection: Selection = Selection.weighted
    """How the best candidate is chosen, settled or not."""

    def __post_init__(self) -> None:
        name = "AdaptiveBestOfN"
        require_positive(name, max_samples=self.max_samples)
        require_number(name, low=0, high=1, excludes=(0, 1), confidence=self.confidence)
        require_reachable(
            name,
            confidence=self.confidence,
            posterior=self.posterior,
            max_samples=self.max_samples,
        )

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

        async def num_missing(leaves: list[Leaf]) -> int:
            groups = await exploration.group_answers(leaves, grader)
            missing = num_votes_missing(
                [len(group.members) for group in groups],
                required=self.confidence,
                posterior=self.posterior,
                most=self.max_samples,
            )
            return missing or int(not self._prm_agrees(groups, leaves))

        await sample_until_enough(exploration, num_missing, max_samples=self.max_samples)
        return await exploration.result(
            selection=self.selection, aggregation=self.aggregation, grader=grader
        )

    def _prm_agrees(self, groups: Sequence[AnswerGroup], leaves: Sequence[Leaf]) -> bool:
        """Whether the best-scored solution of all gives the answer with the most votes."""
        ahead = max(groups, key=lambda group: len(group.members))
        answered = [leaves[member] for group in groups for member in group.members]
        best = rank(answered, self.aggregation)[0]
        return best.scores is not None and any(leaves[member] is best for member in ahead.members)
