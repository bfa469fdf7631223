"""The record of one search: what was expanded, scored, pruned and spent.

All algorithms explore through it, so all of them draw seeds, score, count and fail alike:

- A sample's seed depends on (seed, problem id, its place in the tree) alone.
- The samples of one expansion are scored as soon as they are there, in one call.
- Work that goes on side by side and has to count in a certain order is done by forks, which are
  joined in that order.
- A sample without content at the root is dropped. A prefix that has outgrown the context ends
  there. A sample that could not be scored has no score. Each is recorded at its node, and the
  search goes on.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from prm_search.aggregation import Aggregation
from prm_search.budget import UNLIMITED, Budget, Ledger, Role
from prm_search.errors import (
    ContextLengthError,
    EmptyStepError,
    EngineError,
    ScoringError,
)
from prm_search.protocols import Generator, Grader, Scorer, Until
from prm_search.search.counting_grader import CountingGrader
from prm_search.search.leaf import Leaf, Path, rank
from prm_search.search.recorder import Recorder
from prm_search.seeds import derive_seed
from prm_search.types import (
    Candidate,
    Failure,
    Problem,
    SearchResult,
    SearchStop,
    Step,
    StepScores,
    Trajectory,
    Usage,
)
from prm_search.voting import AnswerGroup, Selection, group_answers, select


class Exploration:
    """The tree, the ledger and the budget of one search for one problem."""

    def __init__(
        self,
        problem: Problem,
        *,
        generator: Generator,
        scorer: Scorer | None,
        budget: Budget,
        seed: int,
    ) -> None:
        self.problem = problem
        self.root = Leaf(path=(), trajectory=Trajectory(problem=problem))
        self._generator = generator
        self._scorer = scorer
        self._budget = budget
        self._seed = seed
        self._ledger = Ledger()
        self._stop_reason = SearchStop.FINISHED
        self._began = time.monotonic()
        self._recorder = Recorder()
        self._leaves: dict[Path, Leaf] = {}

    def fork(self, budget: Budget = UNLIMITED) -> Exploration:
        """An exploration of the same tree with a ledger and a budget of its own."""
        fork = Exploration(
            self.problem,
            generator=self._generator,
            scorer=self._scorer,
            budget=budget,
            seed=self._seed,
        )
        fork._began = self._began
        fork._recorder = self._recorder
        fork._leaves = self._leaves
        return fork

    def join(self, fork: Exploration) -> None:
        """Take over what a fork has spent, and whether its budget stopped it."""
        self._ledger = self._ledger + fork._ledger
        if fork._stop_reason is SearchStop.BUDGET:
            self._stop_reason = SearchStop.BUDGET

    def may_go_on(self, *, num_begun: int = 0) -> bool:
        """Whether the budget allows another round; if not, the result will say so.

        Args:
            num_begun: samples that forks are drawing, which are not yet in the ledger.
        """
        spent = replace(self._ledger, num_generations=self._ledger.num_generations + num_begun)
        if spent.exhausts(self._budget, time.monotonic() - self._began):
            self._stop_reason = SearchStop.BUDGET
            return False
        return True

    async def expand(
        self,
        leaf: Leaf,
        *,
        num_samples: int,
        first_child: int = 0,
        until: Until = Until.STEP,
        temperature: float | None = None,
    ) -> tuple[Leaf, ...]:
        """Draw continuations of a leaf and score them; see `draw`.

        Raises:
            ScoringError: if the scorer's answer does not fit the question.
        """
        leaves = await self.draw(
            leaf,
            num_samples=num_samples,
            first_child=first_child,
            until=until,
            temperature=temperature,
        )
        return await self.score(leaf, leaves)

    async def draw(
        self,
        leaf: Leaf,
        *,
        num_samples: int,
        first_child: int = 0,
        until: Until = Until.STEP,
        temperature: float | None = None,
    ) -> tuple[Leaf, ...]:
        """Draw continuations of a leaf.

        Args:
            leaf: the prefix to continue.
            num_samples: how many continuations.
            first_child: place of the first continuation among the children of the leaf. Needed
                where a leaf is expanded more than once.
            until: how far to generate.
            temperature: 0 means greedy; None means the policy's own.

        Returns:
            The new leaves; fewer than `num_samples` if some could not be used.

        Raises:
            ContextLengthError: if the problem itself does not fit into the context.
            EngineError: if an engine failed.
        """
        try:
            generation = await self._generator.generate(
                leaf.trajectory,
                num_samples=num_samples,
                until=until,
                seed=derive_seed(self._seed, self.problem.id, *leaf.path, first_child),
                temperature=temperature,
            )
        except ContextLengthError as error:
            if not leaf.path:
                raise
            self._recorder.fail(leaf.path, Failure.of(error))
            return ()
        self._ledger = self._ledger.charge(
            Role.POLICY, generation.usage, num_generations=num_samples
        )
        if len(generation.continuations) != num_samples:
            raise EngineError(
                f"the generator was asked for {num_samples} continuations of problem "
                f"{self.problem.id!r} and returned {len(generation.continuations)}"
            )
        grown = [
            self._grow(leaf, child, steps)
            for child, steps in enumerate(generation.continuations, start=first_child)
        ]
        return tuple(new for new in grown if new is not None)

    async def score(self, parent: Leaf, leaves: Sequence[Leaf]) -> tuple[Leaf, ...]:
        """Score leaves in one call; from now on they can be candidates.

        Args:
            parent: the prefix that they have in common, whose scores are known.
            leaves: what was drawn.

        Raises:
            EngineError: if an engine failed.
            ScoringError: if the scorer's answer does not fit the question.
        """
        if self._scorer is not None and leaves:
            scoring = await self._scorer.score([leaf.trajectory for leaf in leaves])
            self._ledger = self._ledger.charge(Role.PRM, scoring.usage)
            if len(scoring.scores) != len(leaves):
                raise ScoringError(
                    f"the scorer was given {len(leaves)} trajectories of problem "
                    f"{self.problem.id!r} and returned {len(scoring.scores)} results"
                )
            pairs = zip(leaves, scoring.scores, strict=True)
            leaves = [self._note(parent, leaf, scores) for leaf, scores in pairs]
        self._leaves.update({leaf.path: leaf for leaf in leaves})
        return tuple(leaves)

    def prune(self, leaves: Sequence[Leaf], *, keep: Sequence[Leaf]) -> None:
        """Note which of the leaves survive."""
        self._recorder.prune([leaf.path for leaf in leaves], keep={leaf.path for leaf in keep})

    async def group_answers(
        self, leaves: Sequence[Leaf], grader: Grader
    ) -> tuple[AnswerGroup, ...]:
        """The different answers of leaves that have ended; what comparing them costs is noted."""
        counting = CountingGrader(grader)
        groups = await group_answers([leaf.as_candidate() for leaf in leaves], counting)
        self._charge(counting)
        return groups

    async def result(
        self,
        *,
        selection: Selection,
        aggregation: Aggregation,
        grader: Grader,
        preferred: Sequence[Leaf] = (),
    ) -> SearchResult:
        """Choose the best candidate and close the books.

        Candidates are all finished leaves, from left to right. If nothing has finished, the only
        candidate is the best-scored prefix that survived pruning.

        Args:
            selection: how to choose.
            aggregation: how to score a candidate.
            grader: says which answers are the same.
            preferred: leaves among which to choose if one of them can be chosen.
        """
        counting = CountingGrader(grader)

        async def choose(pool: Sequence[Candidate]) -> Candidate | None:
            return await select(pool, selection=selection, aggregation=aggregation, grader=counting)

        candidates = {leaf.path: leaf.as_candidate() for leaf in self._candidates(aggregation)}
        best = await choose([candidates[leaf.path] for leaf in preferred])
        if best is None:
            best = await choose(list(candidates.values()))
        self._charge(counting)
        path = next((path for path, candidate in candidates.items() if candidate is best), None)
        return SearchResult(
            problem=self.problem,
            best=best,
            candidates=tuple(candidates.values()),
            tree=self._recorder.tree(path),
            ledger=self._ledger,
            stop_reason=self._stop_reason,
            seed=self._seed,
        )

    def _charge(self, grader: CountingGrader) -> None:
        if grader.num_calls:
            usage = Usage(num_calls=grader.num_calls)
            self._ledger = self._ledger.charge(Role.GRADER, usage)

    def _grow(self, leaf: Leaf, child: int, steps: Sequence[Step]) -> Leaf | None:
        path = (*leaf.path, child)
        try:
            if not steps:
                raise EmptyStepError(f"the policy wrote nothing for problem {self.problem.id!r}")
            trajectory = leaf.trajectory.extend(*steps)
        except EmptyStepError as error:
            self._recorder.add_dropped(path, steps, Failure.of(error))
            return None
        return Leaf(path=self._recorder.add_steps(path, steps), trajectory=trajectory)

    def _note(self, parent: Leaf, leaf: Leaf, scores: StepScores | Failure) -> Leaf:
        if isinstance(scores, Failure):
            self._recorder.fail(leaf.path, scores)
            return replace(leaf, failure=scores)
        if len(scores.values) != len(leaf.trajectory.steps):
            raise ScoringError(
                f"the scorer gave {len(scores.values)} scores for the "
                f"{len(leaf.trajectory.steps)} steps of a trajectory of problem "
                f"{self.problem.id!r}"
            )
        self._recorder.score(
            leaf.path, scores, depth=len(parent.path), num_steps=len(parent.trajectory.steps)
        )
        return replace(leaf, scores=scores)

    def _candidates(self, aggregation: Aggregation) -> list[Leaf]:
        leaves = [self._leaves[path] for path in sorted(self._leaves)]
        finished = [leaf for leaf in leaves if leaf.trajectory.is_finished]
        if finished:
            return finished
        frontier = self._recorder.frontier()
        scored = [leaf for leaf in leaves if leaf.scores and leaf.path in frontier]
        return rank(scored, aggregation)[:1]
