"""Monte-Carlo tree search over steps, with values from a PRM instead of random playouts.

UCT: Kocsis and Szepesvari (2006). PUCT: Silver et al. (2017). Over steps of reasoning with values
from a model: Chen et al. (AlphaMath), arXiv 2405.03553; Guan et al. (rStar-Math), arXiv
2501.04519. Virtual loss: Chaslot, Winands and van den Herik, "Parallel Monte-Carlo tree search"
(2008).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
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
from prm_search.search.in_order import InOrder
from prm_search.search.leaf import Leaf
from prm_search.search.visits import Chooser, Formula, VisitedNode, grown
from prm_search.types import Problem, SearchResult
from prm_search.voting import Selection


@dataclass(frozen=True, kw_only=True, slots=True)
class MCTS:
    """Walks from the root to the end of a solution, again and again, each time where it pays.

    At each node a walk goes to the child with the best value so far plus a bonus for being
    visited little; a node without children is expanded first. The score of the solution at the
    end is its value for every node on the way. No solution is visited twice, so walks end when
    there is nothing new to visit. Samples of the same step are one node. Every solution that
    ends is a candidate, visited or not.
    """

    num_simulations: int = 16
    """Walks from the root to the end of a solution."""
    num_expansions: int = 4
    """Samples drawn where a walk comes to a node without children."""
    formula: Formula = Formula.puct
    """How the bonus for little-visited children is computed. The prior of PUCT is the share of
    the samples that gave the step; samples of a policy need no other."""
    exploration_constant: float = 1.0
    """Weight of the bonus, at least 0. Values are scores in [0, 1]."""
    virtual_loss: float = 1.0
    """Visits of value zero, at least 0, that a walk on its way counts for. It matters where
    several are on their way."""
    max_concurrent: int = 4
    """Walks on their way at the same time, at most num_simulations. What a walk does depends on
    the expansions that began before, taken in that order, and not on which is finished first."""
    max_steps: int = 40
    """How many steps deep to search at most."""
    aggregation: Aggregation = Aggregation.product
    """How step scores become the value of a prefix or solution."""
    selection: Selection = Selection.weighted
    """How the best candidate is chosen."""

    def __post_init__(self) -> None:
        require_positive(
            "MCTS",
            num_simulations=self.num_simulations,
            num_expansions=self.num_expansions,
            max_concurrent=self.max_concurrent,
            max_steps=self.max_steps,
        )
        require_number(
            "MCTS",
            low=0,
            exploration_constant=self.exploration_constant,
            virtual_loss=self.virtual_loss,
        )
        require_at_most(
            "MCTS", max_concurrent=self.max_concurrent, num_simulations=self.num_simulations
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
            scorer=require_scorer(scorer, "MCTS"),
            budget=budget,
            seed=seed,
        )
        async with InOrder(exploration, max_concurrent=self.max_concurrent) as expansions:
            await _Simulations(settings=self, exploration=exploration, expansions=expansions).run()
        return await exploration.result(
            selection=self.selection, aggregation=self.aggregation, grader=grader
        )


class _Simulations:
    """The walks of one search."""

    def __init__(self, *, settings: MCTS, exploration: Exploration, expansions: InOrder) -> None:
        self._settings = settings
        self._exploration = exploration
        self._expansions = expansions
        self._chooser = Chooser(
            formula=settings.formula,
            constant=settings.exploration_constant,
            virtual_loss=settings.virtual_loss,
        )
        self._root = VisitedNode(leaf=exploration.root)
        self._waiting: deque[VisitedNode] = deque()
        """The nodes that are being expanded, in the order of the expansions."""

    async def run(self) -> None:
        num_begun = 0
        while True:
            while (
                num_begun < self._settings.num_simulations
                and self._root.num_open
                and self._expansions.has_room
                and self._expansions.may_go_on()
            ):
                num_begun += 1
                self._root.enter()
                self._walk_on(self._root)
            if not self._waiting:
                return
            leaves = await self._expansions.take()
            node = self._waiting.popleft()
            self._grow(node, leaves)
            self._walk_on(node)

    def _grow(self, node: VisitedNode, leaves: Sequence[Leaf]) -> None:
        children = grown(
            node,
            leaves,
            aggregation=self._settings.aggregation,
            max_steps=self._settings.max_steps,
        )
        self._exploration.prune(leaves, keep=[child.leaf for child in children])
        node.grow(children)

    def _walk_on(self, node: VisitedNode) -> None:
        """Go on to the end of a solution, or to where something has to be waited for."""
        while node.num_open:
            if node.leaf.trajectory.is_finished:
                node.close()
                node.leave(node.score)
                return
            if not node.children:
                if not self._expansions.may_go_on():
                    break
                node.close()
                self._expansions.begin(node.leaf, num_samples=self._settings.num_expansions)
                self._waiting.append(node)
                return
            node = self._chooser.best(node.children)
            node.enter()
        node.leave(None)
