"""NeMo-RL: the rewards of a batch, for the `step` of an `EnvironmentInterface`.

    async def step(self, message_log_batch, metadata):
        numbers = await batch_rewards(message_log_batch, metadata)
        return EnvironmentReturn(…, rewards=torch.tensor(numbers), …)

It asks the server at $PRM_SEARCH_REWARD_URL.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from prm_search.plugins.default import default_reading, default_rewarder
from prm_search.plugins.reading import Message


async def batch_rewards(
    message_log_batch: Sequence[Sequence[Message]], metadata: Sequence[Mapping[str, object]]
) -> list[float]:
    """One number for each conversation.

    Args:
        message_log_batch: [batch] messages of each conversation, in order.
        metadata: [batch] "ground_truth" is the reference answer; "problem" is the problem if
            the user's message is a rendered chat.

    Raises:
        ScoringError: if something failed.
    """
    rollouts = [
        default_reading().rollout(_problem(log, data), _answers(log), data.get("ground_truth"))
        for log, data in zip(message_log_batch, metadata, strict=True)
    ]
    return [one.require_number() for one in await default_rewarder()(rollouts)]


def _problem(log: Sequence[Message], data: Mapping[str, object]) -> str | Sequence[Message]:
    problem = data.get("problem")
    if isinstance(problem, str):
        return problem
    return [message for message in log if message.get("role") == "user"][:1]


def _answers(log: Sequence[Message]) -> Sequence[Message]:
    return [message for message in log if message.get("role") == "assistant"]
