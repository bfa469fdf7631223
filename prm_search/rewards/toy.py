"""A policy of a few numbers and a PRM that overpays filler: how a credit behaves, in seconds.

A problem takes two right steps and then the answer. The policy may also err, or write filler,
which gets it nowhere but which the PRM likes better than a right step. It is trained by plain
policy gradients through the same code that credits a language model.

    python -m prm_search.rewards.toy
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from prm_search.rewards.credit import (
    Clip,
    Credit,
    Delta,
    GroupCredit,
    Last,
    Mean,
    Minimum,
    OutcomeCentering,
    ProcessGRPO,
    Product,
    Progress,
    SoftMinimum,
    Sum,
)
from prm_search.rewards.credit.rule import FloatArray
from prm_search.rewards.guards import HackAlarm, measure
from prm_search.rewards.reward import Reward, step_spans
from prm_search.types import Problem, Step, StepScores, StopReason, Trajectory

IntArray: TypeAlias = NDArray[np.int64]

CREDITS: Mapping[str, Credit] = {
    "outcome": GroupCredit(process=None),
    "sum": GroupCredit(process=Sum(allow_hacking=True), outcome_weight=0),
    "sum + outcome": GroupCredit(process=Sum(allow_hacking=True)),
    "process GRPO": GroupCredit(process=ProcessGRPO(), outcome_weight=0),
    "process GRPO + outcome": GroupCredit(process=ProcessGRPO()),
    "min": GroupCredit(process=Minimum(), outcome_weight=0),
    "min + outcome (default)": GroupCredit(),
    "PURE + outcome": GroupCredit(process=SoftMinimum()),
    "product + outcome": GroupCredit(process=Product()),
    "mean + outcome": GroupCredit(process=Mean()),
    "last + outcome": GroupCredit(process=Last()),
    "clip + outcome": GroupCredit(process=Clip()),
    "delta + outcome": GroupCredit(process=Delta()),
    "PAV + outcome": GroupCredit(process=Progress()),
    "PROGRS": GroupCredit(process=OutcomeCentering()),
}
"""What is compared by default."""

NUM_NEEDED = 2
"""Right steps that a solution takes."""


class Action(IntEnum):
    """What the policy may write."""

    RIGHT = 0
    WRONG = 1
    FILLER = 2
    ANSWER = 3


TEXTS = ("A right step.\n", "A wrong step.\n", "Let us think about it once more.\n", "So: 1.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Toy:
    """The world, the PRM and the training."""

    num_updates: int = 150
    num_groups: int = 4
    """Problems in an update."""
    group_size: int = 16
    """Rollouts of a problem."""
    max_steps: int = 12
    """A rollout without an answer is cut off here."""
    learning_rate: float = 0.5
    filler_score: float = 0.95
    right_score: float = 0.85
    wrong_score: float = 0.15
    noise: float = 0.05
    """Half the width of the uniform noise on each score."""
    seed: int = 0

    def train(self, credit: Credit) -> list[dict[str, float]]:
        """Train a policy, and return the metrics of each update.

        They are those of `measure`, and `filler`: the share of steps that are filler. The
        outcome is right only if all needed steps are there and none is wrong.
        """
        draw = np.random.default_rng(self.seed)
        # One row per state: right steps so far, and whether a step was wrong.
        logits = np.zeros((2 * (NUM_NEEDED + 1), len(Action)))
        history: list[dict[str, float]] = []
        for _ in range(self.num_updates):
            states, actions = self._roll_out(logits, draw)
            rollouts = [self._rollout(row, actions[row]) for row in range(len(actions))]
            rewards = [
                self._reward(rollout, states[row], actions[row], draw)
                for row, rollout in enumerate(rollouts)
            ]
            advantages = np.zeros(actions.shape)
            for start in range(0, len(rewards), self.group_size):
                credited = credit(rewards[start : start + self.group_size])
                for row, rollout in enumerate(credited, start=start):
                    advantages[row, : len(rollout.steps)] = rollout.steps
            logits = logits + self.learning_rate * _gradient(logits, states, actions, advantages)
            metrics = measure(rollouts, rewards)
            metrics["filler"] = float((actions == Action.FILLER).sum() / (actions >= 0).sum())
            history.append(metrics)
        return history

    def _roll_out(self, logits: FloatArray, draw: np.random.Generator) -> tuple[IntArray, IntArray]:
        """States and actions, [num_rollouts, max_steps]; -1 after the answer."""
        num_rollouts = self.num_groups * self.group_size
        states = np.full((num_rollouts, self.max_steps), -1, dtype=np.int64)
        actions = np.full((num_rollouts, self.max_steps), -1, dtype=np.int64)
        num_right = np.zeros(num_rollouts, dtype=np.int64)
        is_flawed = np.zeros(num_rollouts, dtype=np.bool_)
        is_open = np.ones(num_rollouts, dtype=np.bool_)
        for step in range(self.max_steps):
            state = num_right + is_flawed * (NUM_NEEDED + 1)
            cumulative = np.cumsum(_softmax(logits)[state], axis=1)
            action = (draw.random((num_rollouts, 1)) > cumulative[:, :-1]).sum(axis=1)
            states[is_open, step] = state[is_open]
            actions[is_open, step] = action[is_open]
            num_right = np.minimum(num_right + (action == Action.RIGHT), NUM_NEEDED)
            is_flawed = is_flawed | (action == Action.WRONG)
            is_open &= action != Action.ANSWER
        return states, actions

    def _rollout(self, index: int, actions: IntArray) -> Trajectory:
        problem = Problem(id=str(index // self.group_size), prompt="What is 0 + 1?", answer="1")
        steps = [Step(text=TEXTS[int(action)]) for action in actions if action >= 0]
        is_ended = Action.ANSWER in actions
        last = Step(
            text=steps[-1].text, stop_reason=StopReason.END if is_ended else StopReason.LENGTH
        )
        return Trajectory(problem=problem, steps=(*steps[:-1], last))

    def _reward(
        self,
        rollout: Trajectory,
        states: IntArray,
        actions: IntArray,
        draw: np.random.Generator,
    ) -> Reward:
        num_steps = len(rollout.steps)
        is_right = bool(
            actions[num_steps - 1] == Action.ANSWER and states[num_steps - 1] == NUM_NEEDED
        )
        answer_score = self.right_score if is_right else self.wrong_score
        table = np.array([self.right_score, self.wrong_score, self.filler_score, answer_score])
        noise = draw.uniform(-self.noise, self.noise, num_steps)
        values = np.clip(table[actions[:num_steps]] + noise, 0, 1)
        return Reward(
            spans=step_spans(rollout),
            scores=StepScores(values=tuple(values.tolist())),
            outcome=float(is_right),
        )


def _softmax(logits: FloatArray) -> FloatArray:
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def _gradient(
    logits: FloatArray, states: IntArray, actions: IntArray, advantages: FloatArray
) -> FloatArray:
    """Of the mean over rollouts of Σ_k A_k log π(a_k | state_k), [num_states, num_actions]."""
    taken = states >= 0
    chosen = np.zeros((int(taken.sum()), len(Action)))
    chosen[np.arange(len(chosen)), actions[taken]] = 1
    away = advantages[taken][:, None] * (chosen - _softmax(logits)[states[taken]])
    gradient = np.zeros_like(logits)
    np.add.at(gradient, states[taken], away)
    return gradient / len(states)


def main() -> None:
    """Compare all credits on the toy."""
    toy = Toy()
    table = Table(
        "credit", "right", "steps per response", "filler", "PRM score", "alarm at update",
        title=f"Last 20 of {toy.num_updates} updates; a PRM that overpays filler",
    )  # fmt: skip
    for name, credit in CREDITS.items():
        history = toy.train(credit)
        last = [
            math.fsum(metrics[key] for metrics in history[-20:]) / 20
            for key in ("outcome", "steps_per_response", "filler", "prm_mean")
        ]
        prm, outcome = ([metrics[key] for metrics in history] for key in ("prm_mean", "outcome"))
        hacking = HackAlarm().first(prm, outcome)
        alarm = "–" if hacking is None else str(hacking.update)
        table.add_row(name, f"{last[0]:.2f}", f"{last[1]:.1f}", f"{last[2]:.0%}",
                      f"{last[3]:.2f}", alarm)  # fmt: skip
    Console().print(table)


if __name__ == "__main__":
    main()
