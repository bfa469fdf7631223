"""Greedy search over steps, guided by a PRM: one prefix, always the best next step.

The "PRM-guided search" of Zhang et al., "The Lessons of Developing Process Reward Models",
arXiv 2501.07301, and of R-PRM, She et al., arXiv 2503.21295.
"""

from __future__ import annotations

from dataclasses import dataclass

from prm_search.aggregation import Aggregation
from prm_search.budget import Budget
from prm_search.protocols import Generator, Grader, Scorer
from prm_search.search.checks import require_positive, require_scorer
from prm_search.search.descent import descend
from prm_search.search.exploration import Exploration
from prm_search.types import Problem, SearchResult
from prm_search.voting import Selection


@dataclass(frozen=True, kw_only=True, slots=True)
class StepGreedy:
    """Draws some next steps, keeps the one whose own score is highest, and goes on from it.

    The best is the solution that the kept steps form. Solutions that ended at a step that was
    not kept are candidates too, but are chosen only if the kept one cannot be: because the
    search stopped before it ended, or because it could not be scored.
    """

    num_expansions: int = 8
    """Samples drawn for each step."""
    max_steps: int = 40
    """How many steps to take at most."""

    def __post_init__(self) -> None:
        require_positive("StepGreedy", num_expansions=self.num_expansions, max_steps=self.max_steps)

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
            scorer=require_scorer(scorer, "StepGreedy"),
            budget=budget,
            seed=seed,
        )
        ended = await descend(
            exploration,
            num_beams=self.num_expansions,
            num_expansions=self.num_expansions,
            max_steps=self.max_steps,
            aggregation=Aggregation.last,
        )
        return await exploration.result(
            selection=Selection.argmax,
            aggregation=Aggregation.last,
            grader=grader,
            preferred=ended,
        )
