"""The plugin within verl 0.9: from its configuration to advantages of tokens."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import pytest
import verl
from omegaconf import OmegaConf, open_dict
from verl.experimental.agent_loop import AgentLoopOutput
from verl.trainer.ppo import core_algos
from verl.trainer.ppo.ray_trainer import compute_advantage
from verl.trainer.ppo.utils import need_critic
from verl.trainer.ppo.v1.utils import compute_advantage_for_multi_trajectories

from prm_search.errors import ConfigurationError
from prm_search.plugins.verl_advantages import step_advantages
from prm_search.plugins.verl_agent_loop import step_output
from prm_search.rewards.credit import GroupCredit, SoftMinimum
from tests.plugins_verl.rollouts import (
    composed,
    directly,
    documented_loops,
    overrides,
    roll_out,
    to_data,
)

pytestmark = pytest.mark.usefixtures("environment")


def test_verl_loads_the_entry_point_when_it_is_imported() -> None:
    code = (
        "import sys, verl; assert 'prm_search.plugins.verl_registration' in sys.modules; "
        "from verl.trainer.ppo.core_algos import get_adv_estimator_fn as get; "
        "print(get('prm_stepwise').__module__)"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True)
    assert done.stdout.decode().strip() == "prm_search.plugins.verl_advantages", done.stderr


def test_the_documented_command_line_composes(config: Any) -> None:
    assert verl.__version__.startswith("0.9")
    assert config.trainer.use_v1
    assert core_algos.get_adv_estimator_fn(config.algorithm.adv_estimator) is step_advantages
    assert not need_critic(config)
    loops: Any = OmegaConf.create(documented_loops())
    assert loops[0].name == config.actor_rollout_ref.rollout.agent.default_agent_loop
    assert composed(0, 1).algorithm.credit.outcome_weight == 2.0


@pytest.mark.parametrize("num_padding", [0, 9])
@pytest.mark.parametrize("block", [None, 1])
def test_rollouts_of_verl_get_the_credit_of_their_steps(
    config: Any, tokenizer: Any, num_padding: int, block: int | None
) -> None:
    credit = GroupCredit()
    algorithm = config.algorithm.copy()
    if block is not None:
        credit = GroupCredit(process=SoftMinimum(), outcome_weight=2.0)
        names = [word.removeprefix("+algorithm.") for word in overrides(block)]
        with open_dict(algorithm):
            algorithm.merge_with(OmegaConf.from_dotlist(names))
    outputs, rows = asyncio.run(roll_out(config, tokenizer))
    data = to_data(outputs, rows, num_padding)
    keys = [f"{one['uid']}_{place}_0" for place, one in enumerate(rows)]
    data = compute_advantage_for_multi_trajectories(
        data, batch_keys=keys, adv_estimator="prm_stepwise", config=algorithm
    )
    sizes = [len(output.response_ids) for output in outputs]
    expected = directly(tokenizer, credit)
    assert [len(one) for one in expected] == sizes
    for place, size in enumerate(sizes):
        got = data.batch["advantages"][place]
        assert got[:size].tolist() == pytest.approx(expected[place], abs=1e-3 if block else 2e-4)
        assert not got[size:].any()
    steps = {len(set(one)) for one in expected}
    assert max(steps) > 1  # within a response


def test_the_sum_that_verl_logs_is_the_outcome(config: Any, tokenizer: Any) -> None:
    outputs, rows = asyncio.run(roll_out(config, tokenizer))
    sums = to_data(outputs, rows).batch["rm_scores"].sum(dim=1).tolist()
    assert sums == [1.0, 0.0, 1.0, pytest.approx(0.0, abs=0.002), 1.0, 0.0]


def test_the_order_of_a_group_changes_nothing(config: Any, tokenizer: Any) -> None:
    outputs, rows = asyncio.run(roll_out(config, tokenizer))
    options = {"adv_estimator": "prm_stepwise", "config": config.algorithm}
    plain = compute_advantage(to_data(outputs, rows), **options).batch["advantages"]
    order = [5, 2, 0, 4, 3, 1]
    turned = to_data([outputs[place] for place in order], [rows[place] for place in order])
    assert compute_advantage(turned, **options).batch["advantages"].equal(plain[order])


def test_an_output_without_reward_is_verl_s_own(config: Any) -> None:
    fields = {"prompt_ids": [1], "response_ids": [2, 3], "response_mask": [1, 1], "metrics": {}}
    mine, theirs = step_output(AgentLoopOutput)(**fields), AgentLoopOutput(**fields)
    assert mine.as_dict().keys() == theirs.as_dict().keys()
    mine.reward_score = 1.0
    with pytest.raises(ConfigurationError, match="PrmRewardManager"):
        mine.as_dict()


def test_scalar_rewards_of_verl_are_refused(config: Any, tokenizer: Any) -> None:
    outputs, rows = asyncio.run(roll_out(config, tokenizer))
    for output in outputs:
        output.__class__ = AgentLoopOutput
    with pytest.raises(ConfigurationError, match="no step scores"):
        compute_advantage(
            to_data(outputs, rows), adv_estimator="prm_stepwise", config=config.algorithm
        )
