"""SkyRL: the step of a single-turn text environment, and rewards of tokens.

    class MathEnv(BaseTextEnv):
        def step(self, action):
            return text_env_step(self.problem, action, self.answer)

It asks the server at $PRM_SEARCH_REWARD_URL. A generator that returns `rewards` as lists of
tokens takes them from `prm_search.plugins.token_rewards.token_rewards`.
"""

from __future__ import annotations

import asyncio

from prm_search.plugins.default import default_reading, default_rewarder
from prm_search.plugins.reading import Text
from prm_search.rewards.rewarder import Rewarder, Scored
from prm_search.serving.answers import rollout_answer


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
