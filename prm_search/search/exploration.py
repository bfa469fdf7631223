"""The record of one search: what was expanded, scored, pruned and spent.

All algorithms explore through it, so all of them draw seeds, score, count and fail alike:

- A sample's seed depends on (seed, problem id, its place in the tree) alone.
- The samples of one expansion are scored as soon as they are there, in one call.
- Work that goes on side by side and has to count in a certain order is done by forks, which are
  joined in that order.
- What is drawn between two looks at the budget is a round; what each costs is noted.
- A sample without content at the root is dropped. A prefix that has outgrown the context ends
  there. A sample that could not be scored has no score. Each is recorded at its node, and the
  search goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import replace

from prm_search.aggregation import Aggregation
from prm_search.budget import Budget, Role
from prm_search.errors import (
    ContextLengthError,
    EmptyStepError,
    EngineError,
    ScoringError,
)
from prm_search.protocols import Generator, Grader, Scorer, Until
from prm_search.search.account import Account, RoundNote
from prm_search.search.counting_grader import CountingGrader
from prm_search.search.leaf import Leaf, Path, rank
from prm_search.search.recorder import Recorder
from prm_search.seeds import derive_seed
from prm_search.types import (
    Candidate,
    Failure,
    Problem,
    SearchResult,
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
        self._seed = seed
        self._account = Account(budget)
        self._recorder = Recorder()
        self._leaves: dict[Path, Leaf] = {}
        self._rounds: dict[Path, RoundNote] = {}

    def fork_part(self, budget: Budget) -> Exploration:
        """An exploration of the same tree: a part of the search with a budget of its own."""
        return self._fork(self._account.fork_part(budget))

    def fork_round(self, *, num_known: int) -> Exploration:
        """An exploration of the same tree: one round, which goes on beside others.

        Args:
            num_known: how many earlier rounds have ended, as far as the budget is concerned.
        """
        return self._fork(self._account.fork_round(num_known=num_known))

    def join(self, fork: Exploration) -> None:
        """Take over what a fork has spent, and whether its budget stopped it."""
        self._account.join(fork._account)

    def may_go_on(self, *, num_begun: int = 0) -> bool:
        """Whether the budget allows another round; if not, the result will say so.

        Args:
            num_begun: samples that forks are drawing, which are not yet in the ledger.
        """
        return self._account.may_go_on(num_begun=num_begun)

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
        self._account.round()  # begins now, not when the samples are there
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
        self._account.charge(Role.POLICY, generation.usage, num_generations=num_samples)
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
            self._account.charge(Role.PRM, scoring.usage)
            if len(scoring.scores) != len(leaves):
                raise ScoringError(
                    f"the scorer was given {len(leaves)} trajectories of problem "
                    f"{self.problem.id!r} and returned {len(scoring.scores)} results"
                )
            pairs = zip(leaves, scoring.scores, strict=True)
            leaves = [self._note(parent, leaf, scores) for leaf, scores in pairs]
        for leaf in leaves:
            self._leaves[leaf.path] = leaf
            self._rounds[leaf.path] = self._account.round()
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
        self._charge_grader(counting)
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
        self._charge_grader(counting)
        path = next((path for path, candidate in candidates.items() if candidate is best), None)
        chosen_first = {leaf.path for leaf in preferred}
        return SearchResult(
            problem=self.problem,
            best=best,
            candidates=tuple(candidates.values()),
            tree=self._recorder.tree(path),
            ledger=self._account.ledger,
            stop_reason=self._account.stop_reason,
            seed=self._seed,
            course=self._account.course(
                selection=selection,
                aggregation=aggregation,
                candidate_rounds=[
                    self._rounds[path] if candidate.trajectory.is_finished else None
                    for path, candidate in candidates.items()
                ],
                preferred=[place for place, path in enumerate(candidates) if path in chosen_first],
            ),
        )

    def _charge_grader(self, grader: CountingGrader) -> None:
        if grader.num_calls:
            self._account.charge_outside(Role.GRADER, Usage(num_calls=grader.num_calls))

    def _fork(self, account: Account) -> Exploration:
        fork = copy(self)
        fork._account = account
        return fork

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
