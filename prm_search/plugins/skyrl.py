"""SkyRL: the step of a single-turn text environment, and rewards of tokens.

    class MathEnv(BaseTextEnv):
        def step(self, action):
            return text_env_step(self.problem, action, self.answer)

It asks the server at $PRM_SEARCH_REWARD_URL.

Credit of steps: a generator that returns `rewards` as lists of tokens makes them so, and
`step_advantages` is the estimator that reads them:

    [scored] = await default_rewarder()([default_reading().rollout(prompt, response, answer)])
    ends = [end for _, end in scored.reward.spans]
    rewards = encoded_rewards(scored.reward, step_sizes(token_ids, ends, tokenizer.decode))

    register_advantage_estimator("prm_stepwise")(step_advantages)

With an estimator that sums rewards from each token on, take
`prm_search.plugins.token_rewards.token_rewards` instead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

from prm_search.errors import ConfigurationError, ScoringError
from prm_search.plugins import verl_rows
from prm_search.plugins.default import default_reading, default_rewarder
from prm_search.plugins.reading import Text
from prm_search.plugins.row_advantages import advantages_of_rows
from prm_search.rewards import Reward
from prm_search.rewards.credit import GroupCredit
from prm_search.rewards.rewarder import Rewarder, Scored
from prm_search.serving.answers import rollout_answer
from prm_search.types import StepScores


def text_env_step(
    problem: Text, action: str, answer: object = None, *, rewarder: Rewarder | None = None
) -> dict[str, object]:
    """What `BaseTextEnv.step` returns: observations, reward, done, metadata.

    The metadata holds step scores, spans and outcome.

    Args:
        problem: the prompt of the environment.
        action: the response.
        answer: the reference answer.
        rewarder: usable from any event loop; None takes the server of the environment.

    Raises:
        ScoringError: if something failed.
    """
    rollout = default_reading().rollout(problem, action, answer)

    async def ask() -> Scored:
        (scored,) = await (rewarder or default_rewarder())([rollout])
        return scored

    scored = asyncio.run(ask())
    return {
        "observations": [],
        "reward": scored.require_number(),
        "done": True,
        "metadata": rollout_answer(scored, None),
    }


def encoded_rewards(reward: Reward, sizes: Sequence[int]) -> list[float]:
    """Rewards of tokens that hold the step scores; their sum is the outcome, -1 if there is none.

    Args:
        reward: of the rollout.
        sizes: [num_steps] tokens of each step; for an empty completion [1].

    Returns:
        [num_tokens]

    Raises:
        ScoringError: if something failed.
        ConfigurationError: if there are no step scores.
    """
    if reward.failures:
        raise ScoringError("; ".join(failure.message for failure in reward.failures))
    if not isinstance(reward.scores, StepScores):
        raise ConfigurationError("step credit needs step scores; add a PRM or a judge")
    return verl_rows.encode(
        reward.scores.values or (0.0,), sizes, cast("float | None", reward.outcome)
    )


def step_advantages(
    token_level_rewards: Any,
    response_mask: Any,
    *,
    index: Sequence[object] | None = None,
    **options: object,
) -> tuple[Any, Any]:
    """Advantages and returns of tokens, as `register_advantage_estimator` has it.

    By the default credit: the minimum of the step scores and the outcome. For another, see
    `prm_search.plugins.row_advantages.advantages_of_rows`.

    Args:
        token_level_rewards: [batch, num_tokens] of `encoded_rewards`, with 0 behind.
        response_mask: [batch, num_tokens]
        index: [batch] the same for rollouts of one problem.
        options: what else SkyRL passes; not needed.

    Raises:
        ConfigurationError: if there is no index, a single rollout of each problem, or something
            else within the rewards, such as a KL penalty.
    """
    if index is None:
        raise ConfigurationError("no index is given, and rollouts are compared within a problem")
    return advantages_of_rows(token_level_rewards, response_mask, index=index, credit=GroupCredit())
