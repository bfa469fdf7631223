"""What was rewarded is known after a kill."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from prm_search.budget import Ledger
from prm_search.rewards.reward import Reward, step_spans
from prm_search.rl import KnownRewards, Rollout, RolloutLog
from prm_search.types import (
    Failure,
    Problem,
    Step,
    StepScores,
    StopReason,
    Trajectory,
)

FAILURE = Failure(kind="EngineError", message="gone")


def rollout(text: str, *, scores: StepScores | Failure | None = None) -> Rollout:
    steps = (Step(text="First.\n\n"), Step(text=text, stop_reason=StopReason.END))
    trajectory = Trajectory(problem=Problem(id="p", prompt="?"), steps=steps)
    known = scores or StepScores(values=(0.25, 0.5))
    reward = Reward(spans=step_spans(trajectory), scores=known, outcome=1.0)
    return Rollout(trajectory=trajectory, reward=reward, policy_version=0, index=0)


class CountingSource:
    ledger = Ledger()

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def reward(self, rollouts: Sequence[Trajectory]) -> list[Reward]:
        self.asked += [one.text for one in rollouts]
        return [Reward(spans=step_spans(one), outcome=0.0) for one in rollouts]


async def test_rewards_of_updates_that_are_made_again_are_remembered(tmp_path: Path) -> None:
    path = tmp_path / "rollouts.jsonl"
    log = RolloutLog(path, num_done=0)
    assert log.known == {}
    old, lost, failed = rollout("old"), rollout("lost"), rollout("failed", scores=FAILURE)
    log.write(1, old)
    log.write(2, lost)
    log.write(2, failed)
    with path.open("a") as file:
        file.write('{"update": 2, "prob')  # killed while it was written
    again = RolloutLog(path, num_done=1)
    assert len(path.read_text().splitlines()) == 1
    source = CountingSource()
    known = KnownRewards(source, again.known)
    rewards = await known.reward([old.trajectory, lost.trajectory, failed.trajectory])
    # That of the first update is not drawn again, and what failed is tried once more.
    assert source.asked == [old.trajectory.text, failed.trajectory.text]
    assert rewards[1] == lost.reward
    assert known.num_recalled == 1


async def test_the_same_text_that_ended_otherwise_is_another_rollout(tmp_path: Path) -> None:
    path = tmp_path / "rollouts.jsonl"
    log = RolloutLog(path, num_done=0)
    log.write(1, rollout("end"))
    source = CountingSource()
    cut = Step(text="end", stop_reason=StopReason.LENGTH)
    whole = rollout("end").trajectory
    cut_off = Trajectory(problem=whole.problem, steps=(whole.steps[0], cut))
    await KnownRewards(source, RolloutLog(path, num_done=0).known).reward([cut_off, whole])
    assert source.asked == [cut_off.text]
