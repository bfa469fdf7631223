"""Rollouts from a search: the candidates of a problem, with the scores that their tree gave them.

They are no samples of the policy alone: the search has chosen among its steps. So they train it
towards what the search finds, as expert iteration does, and the PRM's taste comes with it. How
many solutions a search ends with depends on the problem; plain samples take the missing places.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace

from prm_search.budget import UNLIMITED
from prm_search.concurrency import gather_all
from prm_search.protocols import Grader, Scorer, SearchAlgorithm, Until
from prm_search.rewards.reward import Reward, RewardSource, step_spans
from prm_search.rewards.sources import PrmSource
from prm_search.rl.clock import Clock
from prm_search.rl.collector import Collected, Request, VersionedGenerator
from prm_search.rl.rollouts import Rollout
from prm_search.seeds import derive_seed
from prm_search.types import Candidate, Problem, Trajectory


class TreeCollector:
    """Searches each problem once, and takes as many of the candidates as were requested."""

    def __init__(
        self,
        generator: VersionedGenerator,
        search: SearchAlgorithm,
        *,
        scorer: Scorer,
        grader: Grader,
        outcomes: RewardSource | None = None,
        note: Callable[[Rollout], None] = lambda _: None,
    ) -> None:
        """Take engines and a search.

        Args:
            generator: the policy.
            search: scores the steps of its candidates.
            scorer: the PRM, for the search and for the rollouts that it does not find.
            grader: compares answers within the search.
            outcomes: gives the outcomes; None gives none.
            note: called for each rollout as soon as it is rewarded.
        """
        self._note = note
        self._generator = generator
        self._search = search
        self._scorer = scorer
        self._grader = grader
        self._scores = PrmSource(scorer)
        self._outcomes = outcomes

    async def __call__(self, requests: Sequence[Request], *, seed: int) -> Collected:
        """Obtain rollouts; see `prm_search.rl.collector.Collector`.

        All requests of a problem have to come together. The time of the PRM within a search
        counts as sampling.
        """
        self._generator.take_usage()
        clock = Clock()
        num_from_search = 0
        groups: dict[str, list[Request]] = defaultdict(list)
        for request in requests:
            groups[request.problem.id].append(request)

        async def collect(group: Sequence[Request]) -> list[Rollout]:
            nonlocal num_from_search
            problem = group[0].problem
            candidates = await self._candidates(problem, len(group), seed)
            num_from_search += len(candidates)
            samples = await self._samples(problem, len(group) - len(candidates), seed)
            with clock.scoring():
                rewards = await self._rewards(candidates, samples)
            trajectories = [candidate.trajectory for candidate in candidates] + samples
            rollouts = [
                Rollout(
                    trajectory=trajectory,
                    reward=reward,
                    policy_version=self._generator.version,
                    index=request.index,
                )
                for request, trajectory, reward in zip(group, trajectories, rewards, strict=True)
            ]
            for rollout in rollouts:
                self._note(rollout)
            return rollouts

        found = {
            (rollouts[0].trajectory.problem.id, rollout.index): rollout
            for rollouts in await gather_all(map(collect, groups.values()))
            for rollout in rollouts
        }
        return Collected(
            rollouts=tuple(found[request.problem.id, request.index] for request in requests),
            usage=self._generator.take_usage(),
            times=clock.times(),
            share_from_search=num_from_search / len(requests),
        )

    async def _candidates(self, problem: Problem, number: int, seed: int) -> list[Candidate]:
        result = await self._search(
            problem,
            generator=self._generator,
            scorer=self._scorer,
            grader=self._grader,
            budget=UNLIMITED,
            seed=derive_seed(seed, problem.id),
        )
        # A search that found no solution has its best prefix as the only candidate.
        finished = [each for each in result.candidates if each.trajectory.is_finished]
        return finished[:number]

    async def _samples(self, problem: Problem, number: int, seed: int) -> list[Trajectory]:
        """Whole solutions, drawn without a search."""
        if number == 0:
            return []
        generation = await self._generator.generate(
            Trajectory(problem=problem),
            num_samples=number,
            until=Until.END,
            seed=derive_seed(seed, problem.id, "beside the search"),
        )
        return [
            Trajectory(problem=problem, steps=continuation)
            for continuation in generation.continuations
        ]

    async def _rewards(
        self, candidates: Sequence[Candidate], samples: Sequence[Trajectory]
    ) -> list[Reward]:
        rewards = [
            Reward(
                spans=step_spans(candidate.trajectory),
                scores=candidate.scores if candidate.failure is None else candidate.failure,
            )
            for candidate in candidates
        ]
        if samples:
            rewards += await self._scores.reward(samples)
        if self._outcomes is None:
            return rewards
        trajectories = [candidate.trajectory for candidate in candidates] + list(samples)
        judged = await self._outcomes.reward(trajectories)
        return [
            replace(reward, outcome=one.outcome)
            for reward, one in zip(rewards, judged, strict=True)
        ]
