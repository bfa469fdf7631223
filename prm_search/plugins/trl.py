"""TRL: an async reward function for `GRPOTrainer(reward_funcs=…)` (TRL 1.16).

TRL recognises an object whose `__call__` is async, awaits it beside other async rewards, and
takes None for a completion that has no reward: it is left out of its group's baseline.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

from prm_search.plugins.reading import Reading, Text
from prm_search.rewards import Reward
from prm_search.rewards.guards import measure
from prm_search.rewards.rewarder import Rewarder, Scored
from prm_search.types import StepScores, Trajectory


class TrlReward:
    """Rewards of TRL's completions.

    Example:
        >>> trainer = GRPOTrainer(  # doctest: +SKIP
        ...     reward_funcs=TrlReward(RemoteRewarder("http://127.0.0.1:8421")), …
        ... )
    """

    def __init__(
        self,
        rewarder: Rewarder,
        *,
        reading: Reading | None = None,
        answer_column: str = "answer",
        eos_token_ids: Sequence[int] = (),
        name: str = "prm_search",
    ) -> None:
        """Take a rewarder.

        Args:
            rewarder: what is asked.
            reading: how prompts and completions are read.
            answer_column: of the data set, with the reference answers; may be missing.
            eos_token_ids: that end an answer. TRL cuts them out of the texts, so with them a
                completion whose last token is none of them counts as cut off; without them,
                nothing counts as cut off.
            name: under which TRL logs the reward.
        """
        self._rewarder = rewarder
        self._reading = reading or Reading()
        self._answer_column = answer_column
        self._eos_token_ids = frozenset(eos_token_ids)
        self.__name__ = name

    async def __call__(
        self,
        prompts: Sequence[Text],
        completions: Sequence[Text],
        completion_ids: Sequence[Sequence[int]] | None = None,
        log_metric: Callable[[str, float], None] | None = None,
        log_extra: Callable[[str, list[str]], None] | None = None,
        **columns: object,
    ) -> list[float | None]:
        """One number for each completion, None where something failed.

        Metrics of the batch (steps per response, PRM and outcome, failures) and the step
        scores are logged by TRL's own means.

        Raises:
            EngineError: if the rewarder is gone.
            ConfigurationError: if the credit only compares rollouts.
        """
        rollouts = self._rollouts(prompts, completions, completion_ids, columns)
        scored = await self._rewarder(rollouts)
        if log_metric is not None:
            for metric, value in measure(rollouts, [one.reward for one in scored]).items():
                log_metric(f"{self.__name__}/{metric}", value)
        if log_extra is not None:
            log_extra(f"{self.__name__}/steps", [_shown(one.reward) for one in scored])
        return [_number(one) for one in scored]

    def _rollouts(
        self,
        prompts: Sequence[Text],
        completions: Sequence[Text],
        completion_ids: Sequence[Sequence[int]] | None,
        columns: dict[str, object],
    ) -> list[Trajectory]:
        answers = cast("Sequence[object] | None", columns.get(self._answer_column))
        given = answers if answers is not None else [None] * len(prompts)
        tokens = completion_ids if completion_ids is not None else [()] * len(prompts)
        return [
            self._reading.rollout(
                prompt, completion, answer, is_truncated=self._is_truncated(token_ids)
            )
            for prompt, completion, answer, token_ids in zip(
                prompts, completions, given, tokens, strict=True
            )
        ]

    def _is_truncated(self, token_ids: Sequence[int]) -> bool | None:
        if not self._eos_token_ids or not token_ids:
            return None
        return token_ids[-1] not in self._eos_token_ids


def _number(scored: Scored) -> float | None:
    return None if scored.reward.failures else scored.require_number()


def _shown(reward: Reward) -> str:
    if reward.failures:
        return "; ".join(failure.message for failure in reward.failures)
    values = reward.scores.values if isinstance(reward.scores, StepScores) else ()
    return " ".join(f"{value:.2f}" for value in values)
