"""Lookahead search: beam search that ranks a prefix by where it leads.

Snell et al., arXiv 2408.03314, section 5.2: each new step is continued greedily for some more
steps, and what the PRM says at the end of this rollout is the score of the step.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from prm_search.aggregation import Aggregation
from prm_search.budget import Budget
from prm_search.concurrency import gather_all
from prm_search.protocols import Generator, Grader, Scorer
from prm_search.search.checks import require_divisible, require_positive, require_scorer
from prm_search.search.descent import descend
from prm_search.search.exploration import Exploration
from prm_search.search.leaf import Leaf, Path
from prm_search.types import Problem, SearchResult
from prm_search.voting import Selection


class _Lookahead:
    """Expands leaves; the scores of a new leaf are those of its rollout."""

    def __init__(self, exploration: Exploration, num_steps: int) -> None:
        self._exploration = exploration
        self._num_steps = num_steps
        self._rollouts: dict[Path, Leaf] = {}
        """The first step of the rollout from each leaf that has one."""

    async def expand(
        self, leaf: Leaf, *, num_samples: int, first_child: int = 0
    ) -> tuple[Leaf, ...]:
        rollout = self._rollouts.pop(leaf.path, None)
        if rollout is not None:
            first_child += 1  # the rollout is the first child
        leaves = await self._exploration.draw(
            leaf, num_samples=num_samples, first_child=first_child
        )
        if leaves and rollout is not None:
            self._exploration.prune([rollout], keep=[])
        return await gather_all(self._look_ahead(leaf, new) for new in leaves)

    async def _look_ahead(self, parent: Leaf, leaf: Leaf) -> Leaf:
        end = leaf
        for _ in range(self._num_steps):
            if end.trajectory.is_finished:
                break
            continuation = await self._exploration.draw(end, num_samples=1, temperature=0.0)
            if not continuation:
                break
            (end,) = continuation
            self._rollouts.setdefault(leaf.path, end)
        (scored,) = await self._exploration.score(parent, [end])
        return replace(leaf, scores=scored.scores, failure=scored.failure)


@dataclass(frozen=True, kw_only=True, slots=True)
class LookaheadBeamSearch:
    """Keeps the prefixes of all whose greedy rollouts score best, at each depth.

    Each rollout begins as soon as its step is there, and takes one call of the PRM, at its end.
    A rollout that ends the solution is a candidate like any other solution.
    """

    num_beams: int = 16
    """Samples drawn at each depth, in all, rollouts apart."""
    num_expansions: int = 4
    """Samples drawn from each kept prefix; num_beams / num_expansions prefixes are kept."""
    num_lookahead_steps: int = 1
    """Steps of a rollout at most, at least 1; without any it is search=beam."""
    max_steps: int = 40
    """How many steps deep to search at most, rollouts apart."""
    aggregation: Aggregation = Aggregation.product
    """How the step scores of a rollout rank the prefix, and those of a candidate the candidate.
    The paper takes the last."""
    selection: Selection = Selection.weighted
    """How the best candidate is chosen."""

    def __post_init__(self) -> None:
        require_positive(
            "LookaheadBeamSearch",
            num_beams=self.num_beams,
            num_expansions=self.num_expansions,
            num_lookahead_steps=self.num_lookahead_steps,
            max_steps=self.max_steps,
        )
        require_divisible(
            "LookaheadBeamSearch", num_beams=self.num_beams, num_expansions=self.num_expansions
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
            scorer=require_scorer(scorer, "LookaheadBeamSearch"),
            budget=budget,
            seed=seed,
        )
        await descend(
            exploration,
            num_beams=self.num_beams,
            num_expansions=self.num_expansions,
            max_steps=self.max_steps,
            aggregation=self.aggregation,
            expand=_Lookahead(exploration, self.num_lookahead_steps).expand,
        )
        return await exploration.result(
            selection=self.selection, aggregation=self.aggregation, grader=grader
        )
