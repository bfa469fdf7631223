"""A generator, a scorer, a judge and a controller that are pools of replicas."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from actors.pool import Pool, PoolCounters
from prm_search.budget import Role
from prm_search.concurrency import gather_all
from prm_search.protocols import Until
from prm_search.types import Generation, Judgement, Problem, Scoring, Trajectory, Usage


class _PooledEngine:
    """Can be pickled: that makes an engine over the same replicas, which are shared."""

    num_sharers: int = 1
    """Copies that divide the room of the replicas between them."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _shared, (type(self), self._pool.share(self.num_sharers))

    @property
    def counters(self) -> PoolCounters:
        """What the pool has done and is doing."""
        return self._pool.counters

    async def start(self) -> None:
        """Start all replicas side by side."""
        await self._pool.start()

    async def reset_cache(self) -> None:
        """Let all replicas forget what they computed."""
        await self._pool.broadcast("reset_cache")

    async def close(self) -> None:
        """Stop all replicas."""
        await self._pool.close()


class PooledGenerator(_PooledEngine):
    """Policies that share the requests."""

    async def generate(
        self,
        prefix: Trajectory,
        *,
        num_samples: int,
        until: Until,
        seed: int,
        temperature: float | None = None,
    ) -> Generation:
        """Continue a prefix; see `prm_search.protocols.Generator`."""
        return await self._pool.call(
            prefix.problem.id,
            "generate",
            prefix,
            num_samples=num_samples,
            until=until,
            seed=seed,
            temperature=temperature,
        )

    async def update_weights(self, folder: str, version: int) -> None:
        """Give all replicas that run other weights; see `actors.policy_generator`.

        A replica that is down comes back with those that it started with: its generations say
        so by their version.
        """
        await self._pool.broadcast("update_weights", folder, version)

    async def restore_weights(self) -> None:
        """Let all replicas go back to the weights that they started with."""
        await self._pool.broadcast("restore_weights")


class PooledScorer(_PooledEngine):
    """PRMs that share the requests."""

    async def score(self, trajectories: Sequence[Trajectory]) -> Scoring:
        """Score every step of each trajectory; see `prm_search.protocols.Scorer`.

        Each problem is a request of its own, and goes where its prefix is cached.
        """
        groups: dict[str, list[int]] = {}
        for index, trajectory in enumerate(trajectories):
            groups.setdefault(trajectory.problem.id, []).append(index)
        parts: tuple[Scoring, ...] = await gather_all(
            self._pool.call(problem_id, "score", [trajectories[index] for index in indices])
            for problem_id, indices in groups.items()
        )
        scores = {
            index: score
            for indices, part in zip(groups.values(), parts, strict=True)
            for index, score in zip(indices, part.scores, strict=True)
        }
        return Scoring(
            scores=tuple(scores[index] for index in range(len(trajectories))),
            usage=sum((part.usage for part in parts), Usage()),
        )


class PooledJudge(_PooledEngine):
    """Judges that share the requests."""

    async def judge(self, trajectory: Trajectory, *, num_votes: int, seed: int) -> Judgement:
        """Obtain verdicts on a trajectory; see `prm_search.protocols.Judge`."""
        return await self._pool.call(
            trajectory.problem.id, "judge", trajectory, num_votes=num_votes, seed=seed
        )


class PooledController(_PooledEngine):
    """Controllers that share the problems."""

    async def record(self, problem: Problem, method: str) -> dict[str, object]:
        """Work on a problem; see `prm_search.controlling.Controller`."""
        return await self._pool.call(problem.id, "record", problem, method)


def _shared(cls: type[_PooledEngine], make_pool: Callable[[], Pool]) -> _PooledEngine:
    return cls(make_pool())


PooledEngine: TypeAlias = PooledGenerator | PooledScorer | PooledJudge | PooledController

POOLED_ENGINES: dict[Role, type[PooledEngine]] = {
    Role.POLICY: PooledGenerator,
    Role.COMPLETER: PooledGenerator,
    Role.PRM: PooledScorer,
    Role.JUDGE: PooledJudge,
    Role.TEACHER: PooledGenerator,
    Role.CONTROLLER: PooledController,
}
