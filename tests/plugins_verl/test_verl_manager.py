"""How verl 0.9 loads the reward manager and the reward function."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import asyncio
from typing import Any

import hydra
import numpy as np
import pytest
import torch
import verl
from tensordict import TensorDict
from verl.trainer.ppo.reward import load_reward_manager

from prm_search.plugins.verl import PrmRewardManager
from tests.plugins_verl.rollouts import row

pytestmark = pytest.mark.usefixtures("environment")


async def test_the_manager_is_loaded_and_rewards_a_row(config: Any, tokenizer: Any) -> None:
    manager = load_reward_manager(config, tokenizer)
    assert isinstance(manager, PrmRewardManager)
    problem, answer = "How much is 2 + 2?", "Add them.\n\nIt is \\boxed{4}."
    ids = [*tokenizer(answer, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    batch = TensorDict(
        {
            "prompts": torch.tensor([[0, 5, 6]]),
            "responses": torch.tensor([[*ids, 0, 0]]),
            "attention_mask": torch.tensor([[0, 1, 1, *[1] * len(ids), 0, 0]]),
        },
        batch_size=1,
    )
    rows = {key: np.array([value], dtype=object) for key, value in row(problem).items()}
    data = verl.DataProto(batch=batch, non_tensor_batch=rows)
    answered: Any = await manager.run_single(data)
    info = answered["reward_extra_info"]
    assert info["acc"] == 1.0
    assert answered["reward_score"] == info["score"]
    scores = manager.assemble_rm_scores(data, [answered["reward_score"]])
    assert scores[0].nonzero().flatten().tolist() == [len(ids) - 1]


def test_a_function_of_the_library_is_loaded_as_a_custom_one(tokenizer: Any) -> None:
    with hydra.initialize_config_module("verl.trainer.config", version_base=None):
        plain = hydra.compose(
            "ppo_trainer",
            [
                "reward.custom_reward_function.path=pkg://prm_search.plugins.verl",
                "reward.custom_reward_function.name=compute_score",
            ],
        )
    problem, answer = "How much is 2 + 2?", "Add them.\n\nIt is \\boxed{4}."

    async def reward() -> Any:
        manager = load_reward_manager(plain, tokenizer)
        ids = tokenizer(answer, add_special_tokens=False)["input_ids"]
        batch = TensorDict(
            {
                "responses": torch.tensor([ids]),
                "attention_mask": torch.ones(1, len(ids), dtype=torch.int64),
            },
            batch_size=1,
        )
        fields = row(problem) | {"extra_info": {"question": problem}}
        rows = {key: np.array([value], dtype=object) for key, value in fields.items()}
        return await manager.run_single(verl.DataProto(batch=batch, non_tensor_batch=rows))

    answered = asyncio.run(reward())
    assert answered["reward_extra_info"]["acc"] == 1.0
    assert answered["reward_score"] > 1.0
