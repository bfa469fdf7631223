"""Diverse verifier tree search: independent greedy searches side by side.

Beeching, Tunstall and Rush, "Scaling test-time compute with open models" (Hugging Face, 2024),
as in search-and-learn. The subtrees never compete for places, so the samples stay diverse.
"""

from __future__ import annotations

from dataclasses import dataclass

from prm_search.aggregation import Aggregation
from prm_search.budget import Budget
from prm_search.concurrency import gather_all
from prm_search.protocols import Generator, Grader, Scorer
from prm_search.search.checks import require_positive, require_scorer
from prm_search.search.descent import descend
from prm_search.search.exploration import Exploration
from prm_search.types import Problem, SearchResult
from prm_search.voting import Selection


@dataclass(frozen=True, kw_only=True, slots=True)
class DVTS:
    """Keeps the best prefix of each subtree at each depth.

    No subtree waits for another. Each has an equal share of a budget of tokens or generations,
    so that what it finds does not depend on how fast the others are. Every solution that ends
    is a candidate, pruned or not.
    """

    num_subtrees: int = 4
    """Independent searches from the root."""
    num_expansions: int = 4
    """Samples drawn at each depth of each subtree."""
    max_steps: int = 40
    """How many steps deep to search at most."""
    aggregation: Aggregation = Aggregation.product
    """How step scores rank prefixes and candidates."""
    selection: Selection = Selection.weighted
    """How the best candidate is chosen."""

    def __post_init__(self) -> None:
        require_positive(
            "DVTS",
            num_subtrees=self.num_subtrees,
            num_expansions=self.num_expansions,
            max_steps=self.max_steps,
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
            scorer=require_scorer(scorer, "DVTS"),
            budget=budget,
            seed=seed,
        )
        share = budget.share(self.num_subtrees)
        forks = [exploration.fork_part(share) for _ in range(self.num_subtrees)]
        await gather_all(
            descend(
                fork,
                num_beams=self.num_expansions,
                num_expansions=self.num_expansions,
                max_steps=self.max_steps,
                aggregation=self.aggregation,
                first_child=subtree * self.num_expansions,
            )
            for subtree, fork in enumerate(forks)
        )
        for fork in forks:
            exploration.join(fork)
        return await exploration.result(
            selection=self.selection, aggregation=self.aggregation, grader=grader
        )
