"""Rollouts from a search: the candidates of a problem, with the scores that their tree gave them.

They are no samples of the policy alone: the search has chosen among its steps. So they train it
towards what the search finds, as expert iteration does, and the PRM's taste comes with it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from prm_search.budget import UNLIMITED
from prm_search.concurrency import gather_all
from prm_search.errors import ConfigurationError
from prm_search.protocols import Grader, Scorer, SearchAlgorithm
from prm_search.rewards.reward import Reward, RewardSource, step_spans
from prm_search.rewards.sources import AnswerSource
from prm_search.rl.clock import Clock
from prm_search.rl.collector import Collected, Request, VersionedGenerator
from prm_search.rl.rollouts import Rollout
from prm_search.seeds import derive_seed
from prm_search.types import Candidate, Problem


class TreeCollector:
    """Searches each problem once, and takes as many of the candidates as were requested."""

    def __init__(
        self,
        generator: VersionedGenerator,
        search: SearchAlgorithm,
        *,
        scorer: Scorer | None,
        grader: Grader,
        note: Callable[[Rollout], None] = lambda _: None,
    ) -> None:
        """Take engines and a search.

        Args:
            generator: the policy.
            search: finds at least as many candidates as a group has rollouts.
            scorer: the PRM; None if the search needs none.
            grader: compares answers: outcomes come from the reference answer.
            note: called for each rollout as soon as it is rewarded.
        """
        self._note = note
        self._generator = generator
        self._search = search
        self._scorer = scorer
        self._grader = grader
        self._outcomes: RewardSource = AnswerSource(grader)

    async def __call__(self, requests: Sequence[Request], *, seed: int) -> Collected:
        """Obtain rollouts; see `prm_search.rl.collector.Collector`.

        All requests of a problem have to come together.

        Raises:
            ConfigurationError: if a search finds fewer candidates than a group has rollouts.
        """
        self._generator.take_usage()
        clock = Clock()
        groups: dict[str, list[Request]] = defaultdict(list)
        for request in requests:
            groups[request.problem.id].append(request)

        async def collect(group: Sequence[Request]) -> list[Rollout]:
            problem = group[0].problem
            candidates = await self._candidates(problem, len(group), seed)
            with clock.scoring():
                rewards = [await self._reward(candidate) for candidate in candidates]
            rollouts = [
                Rollout(
                    trajectory=candidate.trajectory,
                    reward=reward,
                    policy_version=self._generator.version,
                    index=request.index,
                )
                for request, candidate, reward in zip(group, candidates, rewards, strict=True)
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
        if len(result.candidates) < number:
            raise ConfigurationError(
                f"the search found {len(result.candidates)} candidates for problem "
                f"{problem.id!r}, and a group has {number} rollouts; let it keep more "
                "(search.num_beams, search.num_samples), or lower rollouts_per_problem"
            )
        return list(result.candidates[:number])

    async def _reward(self, candidate: Candidate) -> Reward:
        [judged] = await self._outcomes.reward([candidate.trajectory])
        scores = candidate.scores if candidate.failure is None else candidate.failure
        return Reward(spans=step_spans(candidate.trajectory), scores=scores, outcome=judged.outcome)
