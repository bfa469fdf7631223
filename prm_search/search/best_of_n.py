"""Best-of-N: draw whole solutions, choose one.

Argmax and weighted vote: Uesato et al., arXiv 2211.14275, and Zhang et al.,
arXiv 2501.07301. Majority vote (self-consistency): Wang et al., arXiv 2203.11171.
"""

from __future__ import annotations

from dataclasses import dataclass

from prm_search.aggregation import Aggregation
from prm_search.budget import Budget
from prm_search.concurrency import gather_all
from prm_search.errors import ConfigurationError
from prm_search.protocols import Generator, Grader, Scorer, Until
from prm_search.search.checks import require_at_most, require_positive, require_scorer
from prm_search.search.exploration import Exploration
from prm_search.types import Problem, SearchResult
from prm_search.voting import Selection


@dataclass(frozen=True, kw_only=True, slots=True)
class BestOfN:
    """Draws solutions independently, scores each as soon as it has ended, and chooses one.

    Each sample has a seed of its own, so the first 8 samples of 16 are those of N=8. A majority
    vote needs no PRM and never calls one. Greedy decoding is
    `BestOfN(num_samples=1, temperature=0.0, selection=Selection.majority)`.
    """

    num_samples: int = 16
    """Solutions to draw."""
    num_samples_per_round: int | None = None
    """Solutions drawn side by side between two looks at the budget. None means all of them, or
    as many as budget.max_generations leaves."""
    temperature: float | None = None
    """Sampling temperature; 0 means greedy, None means the policy's own."""
    aggregation: Aggregation = Aggregation.product
    """How step scores become the score of a solution. A majority vote has no use for it."""
    selection: Selection = Selection.weighted
    """How the best candidate is chosen."""

    def __post_init__(self) -> None:
        require_positive(
            "BestOfN",
            num_samples=self.num_samples,
            num_samples_per_round=self.num_samples_per_round,
        )
        if self.temperature is not None and not self.temperature >= 0:
            raise ConfigurationError(
                f"BestOfN: temperature must be at least 0, not {self.temperature}"
            )
        if self.temperature == 0 and self.num_samples > 1:
            raise ConfigurationError(
                f"BestOfN: at temperature 0 all {self.num_samples} samples are the same; set "
                "num_samples to 1, or a temperature above 0"
            )
        if self.num_samples_per_round is not None:
            require_at_most(
                "BestOfN",
                num_samples_per_round=self.num_samples_per_round,
                num_samples=self.num_samples,
            )

    @property
    def needs_scorer(self) -> bool:
        """Whether it has to be given a PRM."""
        return self.selection is not Selection.majority

    @property
    def needs_variety(self) -> bool:
        """Whether samples of a policy at temperature 0 would be of no use."""
        return self.temperature is None and self.num_samples > 1

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
        if self.needs_scorer:
            scorer = require_scorer(scorer, f"BestOfN with selection={self.selection}")
        else:
            scorer = None
        exploration = Exploration(
            problem, generator=generator, scorer=scorer, budget=budget, seed=seed
        )
        most = self.num_samples if budget.max_generations is None else budget.max_generations
        num_drawn = 0
        while num_drawn < self.num_samples and exploration.may_go_on():
            size = self.num_samples_per_round or self.num_samples
            end = min(num_drawn + size, self.num_samples, most)
            samples = range(num_drawn, end)
            # They know nothing of each other, so the search may be cut between any two of them.
            forks = [exploration.fork_round(num_known=sample) for sample in samples]
            await gather_all(
                fork.expand(
                    exploration.root,
                    num_samples=1,
                    first_child=sample,
                    until=Until.END,
                    temperature=self.temperature,
                )
                for sample, fork in zip(samples, forks, strict=True)
            )
            for fork in forks:
                exploration.join(fork)
            num_drawn = end
        return await exploration.result(
            selection=self.selection, aggregation=self.aggregation, grader=grader
        )
