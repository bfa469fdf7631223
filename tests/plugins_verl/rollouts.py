"""Rollouts of verl's agent loops, without engines and without Ray."""
# verl is in an environment of its own.
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import asyncio
import re
import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import hydra
import numpy as np
import torch
import verl
from omegaconf import OmegaConf
from tensordict import TensorDict
from verl.experimental.agent_loop import AgentLoopOutput, AgentLoopWorker
from verl.experimental.agent_loop.agent_loop import DictConfigWrap, ToolListWrap
from verl.trainer.ppo.reward import load_reward_manager
from verl.utils.dataset.rl_dataset import RLHFDataset
from verl.utils.tensordict_utils import list_of_dict_to_tensordict
from verl.workers.rollout.replica import TokenOutput

from prm_search.plugins.default import default_reading, default_rewarder
from prm_search.plugins.verl_agent_loop import StepAgentLoop
from prm_search.rewards.credit import GroupCredit, spread_over_spans

PAGE = Path(__file__).parents[2] / "docs" / "verl.md"
PROBLEMS = {"How much is 5 + 7?": "12", "How much is 2 + 2?": "4"}
ANSWERS = {
    "How much is 5 + 7?": [
        "Take 5 and add 7.\n\nThat is 12 – surely.\n\nThe answer is \\boxed{12}.",
        "Take 5 and guess 7.\n\nThe answer is \\boxed{7}.",
        "\\boxed{12}",
        "",
    ],
    "How much is 2 + 2?": ["Add them.\n\nIt is \\boxed{4}.", "It is \\boxed{5}."],
}


def overrides(block: int, **replaced: str) -> list[str]:
    """Of a command line in the documentation."""
    text = re.findall(r"```bash\n(.*?)```", PAGE.read_text(), re.DOTALL)[block]
    words = shlex.split(text.replace("\\\n", " "))
    found = [word for word in words if re.match(r"\+?(algorithm|actor_rollout_ref|reward)\.", word)]
    return [word for word in found if word.split("=")[0] not in replaced] + [
        f"{key}={value}" for key, value in replaced.items()
    ]


def documented_loops() -> str:
    """The agent loops in the documentation."""
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return text


def composed(*blocks: int, **replaced: str) -> Any:
    """verl's own configuration with the overrides that the documentation says."""
    words = [word for block in blocks for word in overrides(block, **replaced)]
    with hydra.initialize_config_module("verl.trainer.config", version_base=None):
        return hydra.compose("ppo_trainer", words)


class Engine:
    """A server of the policy that writes the answers in turn."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.waiting = {problem: iter(answers) for problem, answers in ANSWERS.items()}

    async def generate(self, *, prompt_ids: list[int], **options: Any) -> TokenOutput:
        prompt = self.tokenizer.decode(prompt_ids)
        (problem,) = [problem for problem in PROBLEMS if problem in prompt]
        text = next(self.waiting[problem])
        ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return TokenOutput(token_ids=[*ids, self.tokenizer.eos_token_id])


class Handle:
    """A reward worker of verl's, without Ray around it."""

    def __init__(self, manager: Any) -> None:
        self.compute_score = SimpleNamespace(remote=manager.run_single)


def worker(config: Any, tokenizer: Any) -> Any:
    """A worker of agent loops without its engines."""
    made: Any = AgentLoopWorker.__new__(AgentLoopWorker)
    made.processor, made.mm_processor_kwargs = None, {}
    made.reward_loop_worker_handles = [Handle(load_reward_manager(config, tokenizer))]
    return made


def row(problem: str) -> dict[str, Any]:
    return {
        "uid": f"id of {problem}",
        "raw_prompt": [{"role": "user", "content": problem}],
        "reward_model": {"ground_truth": PROBLEMS[problem], "style": "rule"},
        "data_source": "sums",
        "extra_info": {},
    }


async def roll_out(config: Any, tokenizer: Any) -> tuple[list[AgentLoopOutput], list[dict]]:
    """All answers, written by the configured loop and rewarded as V1 does it."""
    (loop_config,) = OmegaConf.load(config.actor_rollout_ref.rollout.agent.agent_loop_config_path)
    engine, loops = Engine(tokenizer), worker(config, tokenizer)
    outputs, rows = [], []
    for problem, answers in ANSWERS.items():
        for _ in answers:
            loop = hydra.utils.instantiate(
                loop_config,
                trainer_config=DictConfigWrap(config),
                server_manager=engine,
                tokenizer=tokenizer,
                processor=None,
                hf_model_type="qwen2",
                dataset_cls=RLHFDataset,
                data_config=DictConfigWrap(config.data),
                tools=ToolListWrap([]),
            )
            assert isinstance(loop, StepAgentLoop)
            output = await loop.run({"temperature": 1.0}, **row(problem))
            await loops._compute_score([output], kwargs=row(problem))
            outputs.append(output)
            rows.append(row(problem))
    return outputs, rows


def to_data(outputs: list[AgentLoopOutput], rows: list[dict], num_padding: int = 0) -> Any:
    """The batch of V1's `_compute_advantage`."""
    fields = []
    for output, one in zip(outputs, rows, strict=True):
        field = output.as_dict()
        fields.append({name: field[name] for name in ("response_mask", "rm_scores")} | one)
    nested = list_of_dict_to_tensordict(fields)
    assert nested["rm_scores"].is_nested
    padded = {
        name: torch.nn.functional.pad(nested[name].to_padded_tensor(0), (0, num_padding))
        for name in ("response_mask", "rm_scores")
    }
    batch = TensorDict(padded, batch_size=len(rows))
    batch["token_level_rewards"] = batch["rm_scores"]
    uids = np.array([one["uid"] for one in rows], dtype=object)
    return verl.DataProto(batch=batch, non_tensor_batch={"uid": uids})


def directly(tokenizer: Any, credit: GroupCredit) -> list[list[float]]:
    """The advantages of tokens without verl."""
    rows: list[list[float]] = []
    for problem, answers in ANSWERS.items():
        trajectories = [
            default_reading().rollout(problem, answer, PROBLEMS[problem]) for answer in answers
        ]
        scored = asyncio.run(default_rewarder()(trajectories))
        rewards = [one.reward for one in scored]
        for one, reward, answer in zip(credit(rewards), rewards, answers, strict=True):
            encoded = tokenizer(answer, add_special_tokens=False, return_offsets_mapping=True)
            offsets = [*encoded["offset_mapping"], (len(answer), len(answer))]
            rows.append(spread_over_spans(one, reward.spans, offsets).tolist())
    return rows
