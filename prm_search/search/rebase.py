"""REBASE, reward balanced search: a share of the samples for each prefix, by its score.

Wu et al., "Inference Scaling Laws", arXiv 2408.00724, section 3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from prm_search.aggregation import Aggregation, aggregate
from prm_search.budget import Budget
from prm_search.concurrency import gather_all
from prm_search.protocols import Generator, Grader, Scorer
from prm_search.search.checks import require_number, require_positive, require_scorer
from prm_search.search.exploration import Exploration
from prm_search.search.leaf import Leaf
from prm_search.search.weights import softmax
from prm_search.types import Problem, SearchResult
from prm_search.voting import Selection


def allocate(num_samples: int, shares: Sequence[float]) -> list[int]:
    """Whole numbers that sum to `num_samples` and differ from their shares of it by less than 1.

    What is left after rounding down goes to the largest remainders, ties from left to right. The
    paper rounds each share by itself, so that its numbers need not sum to the budget.

    Args:
        num_samples: what is to be shared out.
        shares: [num_prefixes], not negative, summing to 1.
    """
    exact = [num_samples * share for share in shares]
    counts = [math.floor(amount) for amount in exact]
    places = sorted(range(len(exact)), key=lambda place: (counts[place] - exact[place], place))
    for place in places[: num_samples - sum(counts)]:
        counts[place] += 1
    return counts


@dataclass(frozen=True, kw_only=True, slots=True)
class Rebase:
    """Shares out the samples of each depth among all prefixes: softmax(score / temperature).

    A solution that ends takes one sample from all later depths, so that about `num_samples`
    solutions are found. Prefixes whose share is rounded to nothing are pruned.
    """

    num_samples: int = 16
    """Samples drawn at each depth, together with the solutions that have ended before."""
    temperature: float = 0.1
    """Balance temperature, above 0: at 0.1, a prefix that scores 0.1 more gets 2.7 times the
    share. A low one comes close to greedy search, a high one to independent samples."""
    max_steps: int = 40
    """How many steps deep to search at most."""
    aggregation: Aggregation = Aggregation.product
    """How step scores become the score of a prefix or candidate."""
    selection: Selection = Selection.weighted
    """How the best candidate is chosen."""

    def __post_init__(self) -> None:
        require_positive("Rebase", num_samples=self.num_samples, max_steps=self.max_steps)
        require_number("Rebase", low=0, excludes=(0,), temperature=self.temperature)

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
            scorer=require_scorer(scorer, "Rebase"),
            budget=budget,
            seed=seed,
        )
        shares = [(exploration.root, self.num_samples)]
        num_ended = 0
        for _ in range(self.max_steps):
            if not shares or not exploration.may_go_on():
                break
            branches = await gather_all(
                exploration.expand(leaf, num_samples=num_samples) for leaf, num_samples in shares
            )
            leaves = [leaf for branch in branches for leaf in branch]
            ended = [leaf for leaf in leaves if leaf.trajectory.is_finished]
            num_ended += len(ended)
            shares = self._shares(
                [leaf for leaf in leaves if not leaf.trajectory.is_finished],
                self.num_samples - num_ended,
            )
            exploration.prune(leaves, keep=[*ended, *(leaf for leaf, _ in shares)])
        return await exploration.result(
            selection=self.selection, aggregation=self.aggregation, grader=grader
        )

    def _shares(self, leaves: Sequence[Leaf], num_samples: int) -> list[tuple[Leaf, int]]:
        """Leaves and how many samples each of them gets.

        Leaves without scores get some only if no leaf has any; then all get the same.
        """
        scored = [leaf for leaf in leaves if leaf.scores] or leaves
        if not scored:
            return []
        scores = [
            aggregate(leaf.scores, self.aggregation) if leaf.scores else 0.0 for leaf in scored
        ]
        counts = allocate(num_samples, softmax([score / self.temperature for score in scores]))
        return [(leaf, count) for leaf, count in zip(scored, counts, strict=True) if count]
