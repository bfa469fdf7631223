"""Each plugin, called as its framework calls it."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from prm_search.errors import ConfigurationError, ScoringError
from prm_search.plugins import nemo_rl, skyrl, slime, verifiers, verl
from prm_search.plugins.default import default_reading, default_rewarder
from prm_search.plugins.openrlhf import OpenRlhfReward
from prm_search.rewards import Reward
from prm_search.rewards.credit import GroupCredit
from prm_search.rewards.rewarder import LocalRewarder
from prm_search.serving.service import RewardService
from prm_search.types import Failure, StepScores
from tests.plugins.server import serving
from tests.serving.clients import KEY, PROBLEM, SOLUTION, WRONG, fake_source

CHAT = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": PROBLEM}]


@pytest.fixture(autouse=True)
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with serving(RewardService(fake_source()), key=KEY) as url:
        monkeypatch.setenv("PRM_SEARCH_REWARD_URL", url)
        monkeypatch.setenv("PRM_SEARCH_API_KEY", KEY)
        default_rewarder.cache_clear()
        default_reading.cache_clear()
        yield
        default_rewarder.cache_clear()


async def test_verl_gets_a_score_and_plain_extras() -> None:
    assert inspect.iscoroutinefunction(verl.compute_score)
    score = await verl.compute_score(
        data_source="gsm8k",
        solution_str=SOLUTION,
        ground_truth="12",
        extra_info={"split": "train", "question": PROBLEM},
        reward_router_address=None,
    )
    assert score["score"] == pytest.approx(1.9)
    assert score["acc"] == 1.0
    assert json.loads(str(score["step_scores"])) == [0.9, 0.9]
    assert all(isinstance(value, (int, float, str)) for value in score.values())


async def test_verl_hears_what_is_missing_and_never_a_score_for_it() -> None:
    with pytest.raises(ConfigurationError, match="extra_info of 'gsm8k'"):
        await verl.compute_score("gsm8k", SOLUTION, "12", {})
    with pytest.raises(ScoringError, match="no reference answer"):
        await verl.compute_score("gsm8k", SOLUTION, None, {"question": PROBLEM})


class Words:
    """A tokenizer of which token k is the k-th of some words; the last one ends an answer."""

    def __init__(self, text: str) -> None:
        self.words = text.split(" ")
        self.eos_token_id = len(self.words)

    def decode(self, token_ids: Any, *, skip_special_tokens: bool) -> str:
        assert skip_special_tokens
        return " ".join(self.words[index] for index in token_ids if index != self.eos_token_id)


class Rows(list[Any]):
    """As much of verl's DataProto as managers use."""

    batch: dict[str, Any]


@pytest.mark.parametrize(("is_ended", "outcome"), [(True, 1.0), (False, 0.0)])
async def test_the_manager_of_verl_reads_rows(*, is_ended: bool, outcome: float) -> None:
    tokenizer = Words(SOLUTION)
    size = len(tokenizer.words) + is_ended
    responses = np.array([*range(size), 99, 99])
    row = SimpleNamespace(
        batch={
            "responses": responses,
            "attention_mask": np.array([0, 1, 1, *[1] * size, 0, 0]),
        },
        non_tensor_batch={"raw_prompt": CHAT, "reward_model": {"ground_truth": "12"}},
    )
    manager = verl.PrmRewardManager(
        config={}, tokenizer=tokenizer, compute_score=None, reward_router_address=None
    )
    answer = await manager.run_single(Rows([row]))
    assert answer["reward_score"] == pytest.approx(0.9 + outcome)
    assert isinstance(answer["reward_extra_info"], dict)


def test_the_manager_of_verl_puts_scores_on_last_tokens() -> None:
    torch = pytest.importorskip("torch")
    rows = Rows()
    rows.batch = {
        "responses": torch.tensor([[5, 6, 7], [5, 6, 7]]),
        "attention_mask": torch.tensor([[0, 1, 1, 1, 0], [1, 1, 1, 1, 1]]),
    }
    matrix = verl.PrmRewardManager.assemble_rm_scores(rows, [0.5, 2.0])
    assert matrix.tolist() == [[0, 0.5, 0], [0, 0, 2.0]]


def test_openrlhf_gets_a_dict_in_a_thread_of_its_own() -> None:
    reward_func = OpenRlhfReward(default_rewarder())
    queries = [PROBLEM + SOLUTION + "</s>", PROBLEM + WRONG]

    async def as_openrlhf() -> dict[str, Any]:
        return await asyncio.to_thread(reward_func, queries, [PROBLEM] * 2, ["12", "12"])

    answer = asyncio.run(as_openrlhf())
    assert answer["rewards"] == pytest.approx([1.9, 0.1])
    assert answer["scores"] == [1.0, 0.0]
    assert all(len(values) == 2 for values in answer["extra_logs"].values())


class Status(Enum):
    COMPLETED = "completed"
    TRUNCATED = "truncated"
    ABORTED = "aborted"


@dataclass
class Sample:
    response: str
    prompt: object = PROBLEM
    label: object = "12"
    status: Status = Status.COMPLETED
    tokens: list[int] = field(default_factory=list[int])
    response_length: int = 0
    train_metadata: dict[str, Any] | None = None


async def test_slime_gets_numbers_for_samples_and_groups() -> None:
    sample = Sample(SOLUTION)
    assert await slime.reward(None, sample) == pytest.approx(1.9)
    group = [sample, Sample(WRONG), Sample(SOLUTION, status=Status.TRUNCATED, prompt=CHAT)]
    assert await slime.reward(None, group, evaluation=False) == pytest.approx([1.9, 0.1, 0.9])
    answer = await slime.reward_with_steps(None, sample)
    assert isinstance(answer, dict)
    assert answer["reward"] == pytest.approx(1.9)
    assert answer["scores"] == [0.9, 0.9]
    with pytest.raises(ScoringError, match="aborted"):
        await slime.reward(None, Sample(SOLUTION, status=Status.ABORTED))


def words(text: str) -> Sample:
    size = len(text.split(" "))
    return Sample(text, tokens=[7, 7, 7, *range(size)], response_length=size)


async def test_slime_gets_the_advantages_of_tokens() -> None:
    torch = pytest.importorskip("torch")

    class Tokenizer:
        def decode(self, token_ids: list[int]) -> str:
            # Both solutions have the same words but for two, of equal length.
            return " ".join(SOLUTION.split(" ")[index] for index in token_ids)

    samples = [words(SOLUTION), words(SOLUTION.replace("12", "13"))]
    credit = slime.RewardAndCredit(Tokenizer())
    assert await credit(SimpleNamespace(), samples) == pytest.approx([1.9, 0.9])
    sizes = [sample.response_length for sample in samples]
    data: dict[str, Any] = {
        "kl": [torch.zeros(size) for size in sizes],
        "metadata": [sample.train_metadata for sample in samples],
    }
    slime.step_advantages(None, data)
    assert [len(values) for values in data["advantages"]] == sizes
    # Equal step scores: what is left is the outcome.
    for values, sign in zip(data["returns"], (1, -1), strict=True):
        assert values.tolist() == pytest.approx([sign] * len(values))
    data["kl"][1] = torch.zeros(3)
    with pytest.raises(ConfigurationError, match="context-parallel-size 1"):
        slime.step_advantages(None, data)
    with pytest.raises(ConfigurationError, match="RewardAndCredit"):
        slime.step_advantages(None, {"kl": data["kl"]})
    with pytest.raises(ConfigurationError, match="--group-rm"):
        await credit(None, samples[0])


def test_skyrl_gets_the_advantages_of_tokens() -> None:
    torch = pytest.importorskip("torch")
    rewards = [
        Reward(spans=((0, 2), (2, 5)), scores=StepScores(values=(0.5, 0.25)), outcome=1.0),
        Reward(spans=((0, 3),), scores=StepScores(values=(0.75,)), outcome=0.0),
    ]
    sizes = [[2, 3], [3]]
    rows = [skyrl.encoded_rewards(*both) for both in zip(rewards, sizes, strict=True)]
    assert [sum(row) for row in rows] == [1.0, 0.0]
    matrix = torch.zeros(2, 6)
    mask = torch.zeros(2, 6)
    for place, row in enumerate(rows):
        matrix[place, : len(row)] = torch.tensor(row)
        mask[place, : len(row)] = 1
    advantages, returns = skyrl.step_advantages(
        token_level_rewards=matrix,
        response_mask=mask,
        index=["a", "a"],
        values=None,
        config=None,
        gamma=1.0,
        lambd=1.0,
        grpo_norm_by_std=True,
    )
    credited = GroupCredit()(rewards)
    for place, (one, own) in enumerate(zip(credited, sizes, strict=True)):
        expected = np.repeat(one.steps, own)
        assert advantages[place, : len(expected)].tolist() == pytest.approx(expected, abs=1e-4)
        assert not advantages[place, len(expected) :].any()
    assert returns.equal(advantages)
    with pytest.raises(ScoringError, match="no answer"):
        skyrl.encoded_rewards(
            Reward(spans=((0, 1),), scores=Failure(kind="x", message="no answer")), [1]
        )


async def test_verifiers_calls_with_names() -> None:
    messages = [{"role": "assistant", "content": SOLUTION}]
    number = await verifiers.reward(
        prompt=CHAT, completion=messages, answer="12", state={}, info={}, task="math"
    )
    assert number == pytest.approx(1.9)


async def test_nemo_rl_gets_the_rewards_of_a_batch() -> None:
    logs = [[*CHAT, {"role": "assistant", "content": text}] for text in (SOLUTION, WRONG)]
    numbers = await nemo_rl.batch_rewards(logs, [{"ground_truth": "12"}] * 2)
    assert numbers == pytest.approx([1.9, 0.1])


def test_skyrl_gets_the_output_of_a_step() -> None:
    output = skyrl.text_env_step(CHAT, SOLUTION, "12")
    assert set(output) == {"observations", "reward", "done", "metadata"}
    assert output["reward"] == pytest.approx(1.9)
    with pytest.raises(ScoringError):
        skyrl.text_env_step(CHAT, SOLUTION, rewarder=LocalRewarder(fake_source()))
