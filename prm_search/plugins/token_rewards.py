"""Step credit for frameworks that take a reward per token and sum from each token on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from prm_search.errors import ConfigurationError, ScoringError
from prm_search.rewards import Reward, Span
from prm_search.rewards.credit import Advantages, GroupCredit, ReturnRule, spread_over_spans
from prm_search.types import StepScores


def token_rewards(
    reward: Reward, offsets: Sequence[Span], *, credit: GroupCredit | None = None
) -> list[float]:
    """Rewards of tokens whose sum from a token on is the return of its step.

    Step scores themselves must not be summed: a policy would be paid for writing steps. So a
    step's last token gets the difference between the return of the step and that of the next,
    and the last token of all gets the rest and the outcome: summed without a discount they
    telescope to G_k + y, whatever the rule.

    Args:
        reward: of the rollout.
        offsets: [num_tokens] [start, end) of each token in characters of the completion.
        credit: its rule has to be one of returns, such as the minimum.

    Returns:
        [num_tokens]

    Raises:
        ScoringError: if something failed.
        ConfigurationError: if the rule only compares rollouts.
    """
    credit = credit or GroupCredit()
    if reward.failures:
        raise ScoringError("; ".join(failure.message for failure in reward.failures))
    total = credit.scalar(reward)  # also says what does not fit together
    assert total is not None
    if not offsets:
        return []
    tokens = np.zeros(len(offsets))
    if not reward.spans or credit.process is None or credit.process_weight == 0:
        tokens[-1] = total
        return tokens.tolist()
    if not isinstance(credit.process, ReturnRule) or not isinstance(reward.scores, StepScores):
        raise ConfigurationError("token rewards need step scores and a rule of returns")
    returns = credit.process_weight * credit.process.returns(np.array(reward.scores.values))
    numbers = Advantages(steps=tuple(range(len(returns))))
    steps = spread_over_spans(numbers, reward.spans, offsets).astype(int)
    following = np.append(returns[steps[1:]], 0.0)
    tokens = returns[steps] - following
    tokens[-1] += total - returns[0]  # the outcome
    return tokens.tolist()
