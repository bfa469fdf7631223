"""The record of one search: what was expanded, scored, pruned and spent.

All algorithms explore through it, so all of them draw seeds, score, count and fail alike:

- A sample's seed depends on (seed, problem id, its place in the tree) alone.
- The samples of one expansion are scored as soon as they are there, in one call.
- A sample without content at the root is dropped. A prefix that has outgrown the context ends
  there. A sample that could not be scored has no score. Each is recorded at its node, and the
  search goes on.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from prm_search.aggregation import Aggregation
from prm_search.budget import Budget, Ledger, Role
from prm_search.errors import (
    ContextLengthError,
    EmptyStepError,
    EngineError,
    ScoringError,
)
from prm_search.protocols import Generator, Grader, Scorer, Until
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
from prm_search.voting import Selection, select


class _CountingGrader:
    """A grader that counts its comparisons."""

    def __init__(self, grader: Grader) -> None:
        self._grader = grader
        self.num_calls = 0

    def extract(self, solution: str) -> str | None:
        return self._grader.extract(solution)

    async def equivalent(self, first: str, second: str) -> bool:
        self.num_calls += 1
        return await self._grader.equivalent(first, second)


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
        self._forks: list[Exploration] = []

    def fork(self, budget: Budget) -> Exploration:
        """An exploration of the same tree with a ledger and a budget of its own.

        What it spends is part of what this one spends.
        """
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
        self._forks.append(fork)
        return fork

    @property
    def ledger(self) -> Ledger:
        """What was spent so far."""
        return sum((fork.ledger for fork in self._forks), self._ledger)

    @property
    def stop_reason(self) -> SearchStop:
        """BUDGET if the budget kept this exploration from going on."""
        reasons = [self._stop_reason, *(fork.stop_reason for fork in self._forks)]
        return SearchStop.BUDGET if SearchStop.BUDGET in reasons else SearchStop.FINISHED

    def may_go_on(self) -> bool:
        """Whether the budget allows another round; if not, the result will say so."""
        if self.ledger.exhausts(self._budget, time.monotonic() - self._began):
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
        """Draw continuations of a leaf and score them.

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
            ScoringError: if the scorer's answer does not fit the question.
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
        leaves = await self._score(leaf, [new for new in grown if new is not None])
        self._leaves.update({new.path: new for new in leaves})
        return leaves

    def prune(self, leaves: Sequence[Leaf], *, keep: Sequence[Leaf]) -> None:
        """Note which of the leaves survive."""
        self._recorder.prune([leaf.path for leaf in leaves], keep={leaf.path for leaf in keep})

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
        counting = _CountingGrader(grader)

        async def choose(pool: Sequence[Candidate]) -> Candidate | None:
            return await select(pool, selection=selection, aggregation=aggregation, grader=counting)

        candidates = {leaf.path: leaf.as_candidate() for leaf in self._candidates(aggregation)}
        best = await choose([candidates[leaf.path] for leaf in preferred])
        if best is None:
            best = await choose(list(candidates.values()))
        ledger = self.ledger
        if counting.num_calls:
            ledger = ledger.charge(Role.GRADER, Usage(num_calls=counting.num_calls))
        path = next((path for path, candidate in candidates.items() if candidate is best), None)
        return SearchResult(
            problem=self.problem,
            best=best,
            candidates=tuple(candidates.values()),
            tree=self._recorder.tree(path),
            ledger=ledger,
            stop_reason=self.stop_reason,
            seed=self._seed,
        )

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

    async def _score(self, parent: Leaf, leaves: Sequence[Leaf]) -> tuple[Leaf, ...]:
        if self._scorer is None or not leaves:
            return tuple(leaves)
        scoring = await self._scorer.score([leaf.trajectory for leaf in leaves])
        self._ledger = self._ledger.charge(Role.PRM, scoring.usage)
        if len(scoring.scores) != len(leaves):
            raise ScoringError(
                f"the scorer was given {len(leaves)} trajectories of problem "
                f"{self.problem.id!r} and returned {len(scoring.scores)} results"
            )
        return tuple(
            self._note(parent, leaf, scores)
            for leaf, scores in zip(leaves, scoring.scores, strict=True)
        )

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
