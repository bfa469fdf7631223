"""GRPO with credit for steps: TRL's trainer, with an advantage for each token.

    completions ─source─► rewards of steps ─credit─► advantages of steps ─► of tokens [B, T]

TRL's loss takes advantages of shape [B, T] in the place of [B], and overriding
`_generate_and_score_completions` is the way to give them. Written for TRL 1.16.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from accelerate.utils import gather_object
from trl.trainer.grpo_trainer import GRPOTrainer

from prm_search.errors import ConfigurationError
from prm_search.plugins.reading import Reading, Text
from prm_search.rewards.credit import Advantages, Credit, GroupCredit, pad, spread_over_sizes
from prm_search.rewards.credit.rule import FloatArray
from prm_search.rewards.guards import measure, require_rewards
from prm_search.rewards.reward import Reward, RewardSource
from prm_search.types import StepScores, StopReason, Trajectory
from trainers.completion_steps import completion_steps

TRAJECTORIES = "trajectory"
REWARDS = "reward"
"""Fields that a `rollout_func` may return beside TRL's own: a `Trajectory` with its tokens and a
`Reward` for each completion, which is then not rewarded again."""
PREFIX = "prm_search/"
"""How the names of the metrics begin that are logged beside TRL's own."""


class StepGRPOTrainer(GRPOTrainer):
    """Takes what `GRPOTrainer` takes, but rewards and credit come from here.

    All settings of TRL that concern the loss hold (its type, clipping, KL divergence, several
    iterations, several processes). Those that make advantages of rewards do not: `scale_rewards`,
    `reward_weights` and `multi_objective_aggregation` are the credit's business.

    Example:
        >>> trainer = StepGRPOTrainer(  # doctest: +SKIP
        ...     model="Qwen/Qwen2.5-Math-1.5B-Instruct",
        ...     source=Combination([PrmSource(scorer), AnswerSource(grader)]),
        ...     args=GRPOConfig(…),
        ...     train_dataset=…,  # with the columns prompt and answer
        ... )
    """

    def __init__(
        self,
        model: Any,
        *,
        source: RewardSource | None = None,
        credit: Credit | None = None,
        reading: Reading | None = None,
        answer_column: str = "answer",
        max_failure_share: float = 0.5,
        **options: Any,
    ) -> None:
        """Take a model, rewards and credit.

        Args:
            model: as TRL takes it.
            source: where rewards come from; None if `rollout_func` gives them along.
            credit: makes advantages of the rewards of a group; None means min + outcome.
            reading: how prompts are read and completions are cut into steps.
            answer_column: of the data set, with the reference answers; may be missing.
            max_failure_share: the training stops if more of an update's rollouts could not be
                rewarded, in [0, 1].
            options: of `GRPOTrainer`, but for reward_funcs.

        Raises:
            ConfigurationError: if nothing gives rewards.
        """
        if source is None and options.get("rollout_func") is None:
            raise ConfigurationError(
                "StepGRPOTrainer needs a source of rewards, or a rollout_func that returns them"
            )
        self._credit: Credit = credit or GroupCredit()
        self._max_failure_share = max_failure_share
        self._rater = _Rater(source, reading or Reading(), answer_column)
        functions: list[Any] = [self._rater]
        super().__init__(model=model, reward_funcs=functions, **options)
        self._rater.trainer = self

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        output = super()._generate_and_score_completions(inputs)
        model: Any = self.model
        mode = "train" if model.training else "eval"
        size = self.num_generations if mode == "train" else self.num_generations_eval
        group_size = int(size or 1)
        own = self._rater.take()
        # Groups may lie across processes; each of them credits all, and keeps its own.
        everyone: list[_Rated] = gather_object(own)
        rewards = [rated.reward for rated in everyone]
        require_rewards(rewards, max_failure_share=self._max_failure_share)
        advantages = [
            one
            for first in range(0, len(rewards), group_size)
            for one in self._credit(rewards[first : first + group_size])
        ]
        first = self.accelerator.process_index * len(own)
        rows = [
            _spread(one, rated.trajectory)
            for one, rated in zip(advantages[first : first + len(own)], own, strict=True)
        ]
        completion_ids: torch.Tensor = output["completion_ids"]
        output["advantages"] = torch.tensor(
            pad(rows, completion_ids.size(1)), dtype=torch.float32, device=completion_ids.device
        )
        self._mask(output, [one.is_masked for one in advantages], first, len(own))
        self._log_rewards(mode, everyone, advantages, group_size)
        return output

    def _mask(
        self, output: dict[str, Any], is_masked: Sequence[bool], first: int, count: int
    ) -> None:
        """Take rollouts of which nothing is known out of the loss."""
        if not any(is_masked):
            return
        mask: torch.Tensor = output["completion_mask"]
        own = torch.tensor(is_masked[first : first + count], device=mask.device)
        output["completion_mask"] = mask = mask.masked_fill(own[:, None], 0)
        if "tool_mask" in output:
            mask = mask * output["tool_mask"]
        total: Any = self.accelerator.gather(mask.sum())
        output["num_items_in_batch"] = total.sum()

    def _log_rewards(
        self,
        mode: str,
        everyone: Sequence[_Rated],
        advantages: Sequence[Advantages],
        group_size: int,
    ) -> None:
        metrics = measure(
            [rated.trajectory for rated in everyone],
            [rated.reward for rated in everyone],
            groups=[index // group_size for index in range(len(everyone))],
        )
        for name, value in metrics.items():
            self._metrics[mode][f"{PREFIX}{name}"].append(value)
        # TRL has put down the advantages that it would have used itself.
        logged = self._logs["advantages"]
        for _ in range(min(len(logged), len(advantages))):
            logged.pop()
        logged.extend(
            sum(one.steps) / len(one.steps) if one.steps else one.rest for one in advantages
        )


@dataclass(frozen=True, slots=True)
class _Rated:
    """A completion as steps with their tokens, and its reward."""

    trajectory: Trajectory
    reward: Reward


class _Rater:
    """What TRL takes for a reward function; keeps the rewards until they are credited."""

    __name__ = "reward"

    def __init__(self, source: RewardSource | None, reading: Reading, answer_column: str) -> None:
        self._source = source
        self._reading = reading
        self._answer_column = answer_column
        self._rated: list[_Rated] = []
        self.trainer: Any = None

    def take(self) -> list[_Rated]:
        """The rewards of the last call. [num_completions]"""
        rated, self._rated = self._rated, []
        return rated

    async def __call__(
        self,
        prompts: Sequence[Text],
        completions: Sequence[Text],
        completion_ids: Sequence[Sequence[int]],
        **columns: Any,
    ) -> list[float | None]:
        trajectories: Sequence[Trajectory] | None = columns.get(TRAJECTORIES)
        if trajectories is None:
            trajectories = self._read(prompts, completion_ids, columns)
        else:
            _require_tokens(trajectories, completion_ids)
        rewards: Sequence[Reward] | None = columns.get(REWARDS)
        if rewards is None:
            if self._source is None:
                raise ConfigurationError(
                    f"the rollout_func returns no {REWARDS!r}, and there is no source of rewards"
                )
            rewards = await self._source.reward(trajectories)
        self._rated = list(map(_Rated, trajectories, rewards))
        return [_number(reward) for reward in rewards]

    def _read(
        self,
        prompts: Sequence[Text],
        completion_ids: Sequence[Sequence[int]],
        columns: dict[str, Any],
    ) -> list[Trajectory]:
        answers = columns.get(self._answer_column) or [None] * len(prompts)
        return [
            Trajectory(
                problem=self._reading.problem(prompt, answer), steps=self._steps(list(token_ids))
            )
            for prompt, answer, token_ids in zip(prompts, answers, completion_ids, strict=True)
        ]

    def _steps(self, token_ids: Sequence[int]) -> Any:
        has_ended = token_ids[-1] in self.trainer.eos_token_ids
        return completion_steps(
            self.trainer._tokenizer,
            token_ids,
            separator=self._reading.step_separator,
            stop_reason=StopReason.END if has_ended else StopReason.LENGTH,
        )


def _spread(advantages: Advantages, trajectory: Trajectory) -> FloatArray:
    """The advantage of each token of a trajectory. [num_tokens]"""
    if not advantages.steps:
        return spread_over_sizes(advantages, [trajectory.num_tokens])
    return spread_over_sizes(advantages, [len(step.token_ids) for step in trajectory.steps])


def _require_tokens(
    trajectories: Sequence[Trajectory], completion_ids: Sequence[Sequence[int]]
) -> None:
    """Refuse trajectories whose tokens are not those of the completions.

    Advantages would land on other tokens than those of their steps, or on none.
    """
    for row, (trajectory, token_ids) in enumerate(zip(trajectories, completion_ids, strict=True)):
        if trajectory.num_tokens != len(token_ids):
            raise ConfigurationError(
                f"the rollout_func returns a {TRAJECTORIES!r} with {trajectory.num_tokens} tokens "
                f"for completion {row}, which has {len(token_ids)}; give each step its token_ids"
            )


def _number(reward: Reward) -> float | None:
    """What TRL logs as the reward: the outcome, or else the mean score; None if it failed."""
    if isinstance(reward.outcome, float | int):
        return float(reward.outcome)
    if reward.outcome is None and isinstance(reward.scores, StepScores) and reward.scores.values:
        return sum(reward.scores.values) / len(reward.scores.values)
    return None
