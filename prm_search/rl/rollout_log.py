"""Every rollout with its reward, in a file: to be read, and so that nothing is rewarded twice."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

from prm_search.budget import Ledger
from prm_search.rewards.reward import Reward, RewardSource
from prm_search.rl.rollouts import Rollout
from prm_search.types import Failure, StepScores, Trajectory

RewardKey: TypeAlias = tuple[str, tuple[str, ...], str]
"""Problem, steps and how the last one ended: what a reward depends on."""


class RolloutLog:
    """Adds a line for each rollout.

    Args:
        path: of the file; made if it does not exist.
        num_done: updates that a checkpoint keeps. What later ones wrote is taken out of the
            file, because they are made again, but their rewards are remembered.
    """

    def __init__(self, path: Path, *, num_done: int) -> None:
        self._path = path
        self.known: dict[RewardKey, Reward] = {}
        """Rewards of the updates that are made again, but for those in which something failed."""
        kept: list[str] = []
        for text in path.read_text().splitlines() if path.exists() else ():
            try:
                line: dict[str, Any] = json.loads(text)
            except ValueError:  # torn when the process was killed
                continue
            if line["update"] <= num_done:
                kept.append(text)
            elif line["failures"] == []:
                self.known[line["problem"], tuple(line["steps"]), line["stop_reason"]] = _read(line)
        if path.exists():
            draft = path.with_name(f".draft_{path.name}")
            draft.write_text("".join(f"{text}\n" for text in kept))
            draft.replace(path)

    def write(self, update: int, rollout: Rollout) -> None:
        """Add a rollout of a 1-based update."""
        problem, steps, stop_reason = key_of(rollout.trajectory)
        reward = rollout.reward
        line = {
            "update": update,
            "problem": problem,
            "index": rollout.index,
            "policy_version": rollout.policy_version,
            "steps": steps,
            "stop_reason": stop_reason,
            "num_tokens": rollout.trajectory.num_tokens,
            "spans": reward.spans,
            "scores": reward.scores.values if isinstance(reward.scores, StepScores) else None,
            "outcome": None if isinstance(reward.outcome, Failure) else reward.outcome,
            "failures": [f"{failure.kind}: {failure.message}" for failure in reward.failures],
        }
        with self._path.open("a") as file:
            file.write(json.dumps(line) + "\n")


class KnownRewards:
    """A source in front of a source: what is known already is not asked for again."""

    def __init__(self, source: RewardSource, known: dict[RewardKey, Reward]) -> None:
        self._source = source
        self._known = known
        self.num_recalled = 0
        """Rollouts whose reward was known."""

    @property
    def ledger(self) -> Ledger:
        """What all calls so far have cost, by role."""
        return self._source.ledger

    async def reward(self, rollouts: Sequence[Trajectory]) -> list[Reward]:
        """Rewards of some rollouts; see `prm_search.rewards.reward.RewardSource`."""
        rewards = [self._known.get(key_of(rollout)) for rollout in rollouts]
        unknown = [index for index, reward in enumerate(rewards) if reward is None]
        self.num_recalled += len(rollouts) - len(unknown)
        if unknown:
            asked = await self._source.reward([rollouts[index] for index in unknown])
            for index, reward in zip(unknown, asked, strict=True):
                rewards[index] = reward
        return [reward for reward in rewards if reward is not None]


def key_of(trajectory: Trajectory) -> RewardKey:
    """What the reward of a rollout is known by."""
    steps = tuple(step.text for step in trajectory.steps)
    return trajectory.problem.id, steps, str(trajectory.stop_reason)


def _read(line: dict[str, Any]) -> Reward:
    scores: list[float] | None = line["scores"]
    return Reward(
        spans=tuple((start, end) for start, end in line["spans"]),
        scores=None if scores is None else StepScores(values=tuple(scores)),
        outcome=line["outcome"],
    )
