"""Beam search over steps, guided by a PRM.

Snell et al., arXiv 2408.03314, section 5.2; the variant with a fixed number of samples at each
depth is the one of Hugging Face's search-and-learn.
"""

from __future__ import annotations

from dataclasses import dataclass

from prm_search.aggregation import Aggregation
from prm_search.budget import Budget
from prm_search.protocols import Generator, Grader, Scorer
from prm_search.search.checks import require_divisible, require_positive, require_scorer
from prm_search.search.descent import descend
from prm_search.search.exploration import Exploration
from prm_search.types import Problem, SearchResult
from prm_search.voting import Selection


@dataclass(frozen=True, kw_only=True, slots=True)
class BeamSearch:
    """Keeps the best prefixes of all at each depth.

    Every solution that ends is a candidate, pruned or not.
    """

    num_beams: int = 16
    """Samples drawn at each depth, in all."""
    num_expansions: int = 4
    """Samples drawn from each kept prefix; num_beams / num_expansions prefixes are kept."""
    max_steps: int = 40
    """How many steps deep to search at most."""
    aggregation: Aggregation = Aggregation.product
    """How step scores rank prefixes and candidates."""
    selection: Selection = Selection.weighted
    """How the best candidate is chosen."""

    def __post_init__(self) -> None:
        require_positive(
            "BeamSearch",
            num_beams=self.num_beams,
            num_expansions=self.num_expansions,
            max_steps=self.max_steps,
        )
        require_divisible(
            "BeamSearch", num_beams=self.num_beams, num_expansions=self.num_expansions
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
            scorer=require_scorer(scorer, "BeamSearch"),
            budget=budget,
            seed=seed,
        )
        await descend(
            exploration,
            num_beams=self.num_beams,
            num_expansions=self.num_expansions,
            max_steps=self.max_steps,
            aggregation=self.aggregation,
        )
        return await exploration.result(
            selection=self.selection, aggregation=self.aggregation, grader=grader
        )
