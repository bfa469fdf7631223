"""What the reward server does, without HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

from prm_search.budget import Ledger, Role
from prm_search.errors import EngineError
from prm_search.rewards import MicroBatcher, MicroBatching, RewardSource
from prm_search.rewards.credit import Advantages, GroupCredit
from prm_search.rewards.micro_batching import Counters
from prm_search.rewards.rewarder import LocalRewarder, Scored
from prm_search.types import Failure, Problem, Step, StopReason, Trajectory


class OverloadedError(EngineError):
    """The queue is full. Nothing was begun; ask again later."""


class _PoolState(Protocol):
    num_running: int
    num_in_flight: int
    num_waiting: int
    num_restarts: int


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineState:
    """How the engines of a role are doing."""

    num_running: int
    """Replicas that take requests."""
    num_in_flight: int
    """Requests that they hold."""
    num_waiting: int
    """Requests that wait for room in one of them."""
    num_restarts: int
    """Replicas that came back after a crash."""


class RewardService:
    """A source, batched across clients, and a credit."""

    def __init__(
        self,
        source: RewardSource,
        *,
        credit: GroupCredit | None = None,
        batching: MicroBatching | None = None,
        engines: Mapping[Role, object] | None = None,
    ) -> None:
        """Take a source.

        Args:
            source: what is served.
            credit: makes numbers and advantages of rewards.
            batching: limits of the queue.
            engines: that the source uses, to say how they are doing. An engine without
                `counters` is in this process and so runs.
        """
        self._credit = credit or GroupCredit()
        self._batching = batching or MicroBatching()
        self._batcher = MicroBatcher(source, self._batching)
        self._rewarder = LocalRewarder(self._batcher, self._credit)
        self._engines = engines or {}

    @property
    def counters(self) -> Counters:
        """What the queue has done and is doing."""
        return self._batcher.counters

    @property
    def ledger(self) -> Ledger:
        """What all rewards so far have cost, by role."""
        return self._batcher.ledger

    @property
    def max_queue(self) -> int:
        """Rollouts that may be waiting or being rewarded."""
        return self._batching.max_queue

    def engine_states(self) -> dict[Role, EngineState]:
        """How the engines are doing."""
        return {role: _state(engine) for role, engine in self._engines.items()}

    @property
    def is_healthy(self) -> bool:
        """Whether every role has a running engine."""
        return all(state.num_running > 0 for state in self.engine_states().values())

    async def reward(self, rollouts: Sequence[Trajectory]) -> list[Scored]:
        """The rewards of some rollouts; see `prm_search.rewards.rewarder.Rewarder`.

        Raises:
            OverloadedError: if the queue has no room for all of them.
            EngineError: if the server is closed.
        """
        # Nothing else runs between this question and the queueing that follows from it.
        if not self._batcher.has_room(len(rollouts)):
            raise OverloadedError(
                f"the queue has no room for {len(rollouts)} rollouts "
                f"({self.counters.num_in_queue} of {self.max_queue} places are taken)"
            )
        return await self._rewarder(rollouts)

    def advantages(
        self, scored: Sequence[Scored], groups: Sequence[str]
    ) -> list[Advantages | None]:
        """The advantages of rollouts within their groups; None where there are no others.

        Args:
            scored: [num_rollouts]
            groups: [num_rollouts] rollouts of one problem have the same.
        """
        members: dict[str, list[int]] = {}
        for index, group in enumerate(groups):
            members.setdefault(group, []).append(index)
        found: list[Advantages | None] = [None] * len(scored)
        for indices in members.values():
            if len(indices) < 2:
                continue
            credited = self._credit([scored[index].reward for index in indices])
            for index, advantages in zip(indices, credited, strict=True):
                found[index] = advantages
        return found

    async def probe(self) -> tuple[Failure, ...]:
        """Reward a tiny rollout, so that what does not fit together fails before clients come.

        Returns:
            What failed: an engine, or a judge that makes nothing of the problem.

        Raises:
            ConfigurationError: if the source does not give what the credit needs.
        """
        problem = Problem(id="probe", prompt="How much is 1 + 1?", answer="2")
        steps = (
            Step(text="1 + 1 = 2, so it is 2.\n\n"),
            Step(text="The answer is \\boxed{2}.", stop_reason=StopReason.END),
        )
        (scored,) = await self.reward([Trajectory(problem=problem, steps=steps)])
        self._credit([scored.reward])
        return scored.reward.failures

    async def close(self) -> None:
        """Finish what is in the queue and accept nothing more."""
        await self._batcher.close()


def _state(engine: object) -> EngineState:
    counters = cast("_PoolState | None", getattr(engine, "counters", None))
    if counters is None:
        return EngineState(num_running=1, num_in_flight=0, num_waiting=0, num_restarts=0)
    return EngineState(
        num_running=counters.num_running,
        num_in_flight=counters.num_in_flight,
        num_waiting=counters.num_waiting,
        num_restarts=counters.num_restarts,
    )
