"""verl: the advantage estimator `prm_stepwise`.

    algorithm.adv_estimator=prm_stepwise

It credits steps with `GroupCredit`: by default the minimum of the step scores and the outcome.
Another credit stands in the configuration as in ours:

    +algorithm.credit._target_=prm_search.rewards.credit.GroupCredit
    +algorithm.credit.process._target_=prm_search.rewards.credit.SoftMinimum
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hydra.utils import instantiate

from prm_search.errors import ConfigurationError
from prm_search.plugins.row_advantages import LoneRolloutsError, advantages_of_rows
from prm_search.plugins.verl_rows import ForeignRowError
from prm_search.rewards.credit import Credit, GroupCredit

NAME = "prm_stepwise"
_HINT = (
    "Use prm_search.plugins.verl.PrmRewardManager and "
    "prm_search.plugins.verl_agent_loop.StepAgentLoop (docs/serving.md), and the default "
    "trainer.use_v1=true"
)


def step_advantages(
    token_level_rewards: Any,
    response_mask: Any,
    *,
    index: Sequence[object] | None = None,
    config: Any = None,
    **options: object,
) -> tuple[Any, Any]:
    """Advantages of tokens, as `verl.trainer.ppo.core_algos.register_adv_est` has it.

    Rows without any reward are what verl fills batches with, and get no advantage.

    Args:
        token_level_rewards: [num_rows, num_tokens] tensor of rows by `verl_rows.encode`.
        response_mask: [num_rows, num_tokens] tensor, 1 for tokens of the policy.
        index: [num_rows] the same for rollouts of the same problem, in any order.
        config: `algorithm` of verl's configuration.
        options: what else verl passes; not needed.

    Returns:
        Advantages and, as they have no values to be compared with, the same as returns.

    Raises:
        ConfigurationError: if the rows hold no step scores, if something else was added to them,
            or if there is nothing to compare.
    """
    if index is None:
        raise ConfigurationError("verl gives no uid, and rollouts are compared within a problem")
    if config is not None and config.get("use_kl_in_reward"):
        raise ConfigurationError(
            f"{NAME} reads step scores from the rewards, and a KL penalty within them makes them "
            "unreadable; set algorithm.use_kl_in_reward=false, and actor.use_kl_loss=true instead"
        )
    try:
        return advantages_of_rows(
            token_level_rewards, response_mask, index=index, credit=credit_of(config)
        )
    except LoneRolloutsError as error:
        raise ConfigurationError(f"{error}; set actor_rollout_ref.rollout.n") from error
    except ForeignRowError as error:
        raise ConfigurationError(f"{error}. {_HINT}") from error


def credit_of(config: Any) -> Credit:
    """The credit that verl's `algorithm` configuration names; the default if it names none.

    Raises:
        ConfigurationError: if it is no credit, or one that policies hack without saying so.
    """
    named: object = None if config is None else config.get("credit")
    if named is None:
        return GroupCredit()
    if not isinstance(named, Mapping) or "_target_" not in named:
        raise ConfigurationError(
            "algorithm.credit has no _target_; such as prm_search.rewards.credit.GroupCredit"
        )
    credit: object = instantiate(named, _convert_="all")
    if not isinstance(credit, GroupCredit):
        raise ConfigurationError(f"algorithm.credit is a {type(credit).__name__}, not a credit")
    return credit
