"""The estimator of verl, and verl's contract by hand-written copies of its signatures."""

from __future__ import annotations

import importlib
import json
import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from prm_search.errors import ConfigurationError
from prm_search.plugins import verl_registration
from prm_search.plugins.verl_advantages import credit_of, step_advantages
from prm_search.plugins.verl_agent_loop import StepAgentLoop
from prm_search.plugins.verl_rows import encode
from prm_search.rewards import Reward
from prm_search.rewards.credit import (
    GroupCredit,
    OutcomeCentering,
    ProcessGRPO,
    SoftMinimum,
    spread_over_sizes,
)
from prm_search.types import StepScores

torch = pytest.importorskip("torch")
pydantic = pytest.importorskip("pydantic")

# Scores that the grid holds exactly: uid, scores, tokens of each step, outcome.
ROLLOUTS = [
    ("a", [0.5, 0.25], [3, 2], 1.0),
    ("b", [0.75], [4], 0.0),
    ("a", [0.875, 0.75, 0.125], [1, 2, 4], 0.0),
    ("b", [0.5, 0.5, 1.0], [2, 2, 2], 1.0),
    ("a", [0.0], [2], 0.0),
]
CREDIT = "prm_search.rewards.credit."


def batch(num_padding: int = 0, order: list[int] | None = None) -> dict[str, Any]:
    rollouts = [ROLLOUTS[place] for place in order or range(len(ROLLOUTS))]
    longest = max(sum(sizes) for _, _, sizes, _ in rollouts) + num_padding
    rewards, mask = torch.zeros(len(rollouts), longest), torch.zeros(len(rollouts), longest)
    for row, (_, scores, sizes, outcome) in enumerate(rollouts):
        rewards[row, : sum(sizes)] = torch.tensor(encode(scores, sizes, outcome))
        mask[row, : sum(sizes)] = 1
    index = np.array([uid for uid, *_ in rollouts], dtype=object)
    return {"token_level_rewards": rewards, "response_mask": mask, "index": index}


def expected(credit: GroupCredit) -> list[list[float]]:
    rows: dict[int, list[float]] = {}
    for uid in ("a", "b"):
        places = [place for place, rollout in enumerate(ROLLOUTS) if rollout[0] == uid]
        group = [
            Reward(
                spans=tuple((step, step + 1) for step in range(len(scores))),
                scores=StepScores(values=tuple(scores)),
                outcome=outcome,
            )
            for _, scores, _, outcome in (ROLLOUTS[place] for place in places)
        ]
        for place, one in zip(places, credit(group), strict=True):
            rows[place] = spread_over_sizes(one, ROLLOUTS[place][2]).tolist()
    return [rows[place] for place in range(len(ROLLOUTS))]


def tokens(advantages: Any, order: list[int] | None = None) -> list[list[float]]:
    sizes = [sum(ROLLOUTS[place][2]) for place in order or range(len(ROLLOUTS))]
    assert all(not row[size:].any() for row, size in zip(advantages, sizes, strict=True))
    return [row[:size].tolist() for row, size in zip(advantages, sizes, strict=True)]


@pytest.mark.parametrize(
    ("config", "credit"),
    [
        (None, GroupCredit()),
        ({}, GroupCredit()),
        (
            {"credit": {"_target_": CREDIT + "GroupCredit", "outcome_weight": 2.0}},
            GroupCredit(outcome_weight=2.0),
        ),
        *(
            (
                {
                    "credit": {
                        "_target_": CREDIT + "GroupCredit",
                        "process": {"_target_": CREDIT + type(rule).__name__},
                    }
                },
                GroupCredit(process=rule),
            )
            for rule in (SoftMinimum(), ProcessGRPO(), OutcomeCentering())
        ),
    ],
)
def test_tokens_get_the_credit_of_their_step(config: Any, credit: GroupCredit) -> None:
    advantages, returns = step_advantages(**batch(), config=config)
    assert returns is advantages
    for got, wanted in zip(tokens(advantages), expected(credit), strict=True):
        assert got == pytest.approx(wanted, abs=1e-6)


def test_padding_and_order_change_nothing() -> None:
    plain = tokens(step_advantages(**batch())[0])
    assert tokens(step_advantages(**batch(num_padding=7))[0]) == plain
    order = [4, 1, 0, 3, 2]
    turned = tokens(step_advantages(**batch(order=order))[0], order)
    assert turned == [plain[place] for place in order]


def test_rows_that_only_fill_a_batch_are_nobodys_baseline() -> None:
    full = batch()
    for name in ("token_level_rewards", "response_mask"):
        full[name] = torch.cat([full[name], torch.zeros(2, full[name].shape[1])])
    full["index"] = np.array([*full["index"], "a", "pad"], dtype=object)
    advantages, _ = step_advantages(**full)
    assert tokens(advantages[:-2]) == tokens(step_advantages(**batch())[0])
    assert not advantages[-2:].any()


def test_tokens_of_others_get_nothing() -> None:
    masked = batch()
    masked["response_mask"][0, 1] = 0
    advantages, _ = step_advantages(**masked)
    assert advantages[0, 1] == 0
    assert advantages[0, 0] != 0


def test_what_cannot_be_credited_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="use_kl_in_reward"):
        step_advantages(**batch(), config={"use_kl_in_reward": True})
    with pytest.raises(ConfigurationError, match=r"rollout\.n"):
        step_advantages(**batch() | {"index": list(range(len(ROLLOUTS)))})
    with pytest.raises(ConfigurationError, match="uid"):
        step_advantages(**batch() | {"index": None})
    scalar = batch()
    scalar["token_level_rewards"] = torch.zeros_like(scalar["token_level_rewards"])
    scalar["token_level_rewards"][:, 1] = 1.9
    with pytest.raises(ConfigurationError, match="no step scores"):
        step_advantages(**scalar)


def test_a_credit_is_named_and_a_hackable_one_says_so() -> None:
    group = {"_target_": CREDIT + "GroupCredit"}
    with pytest.raises(Exception, match="allow_hacking=true"):
        credit_of({"credit": group | {"process": {"_target_": CREDIT + "Sum"}}})
    with pytest.raises(ConfigurationError, match="no _target_"):
        credit_of({"credit": {"process": None}})
    with pytest.raises(ConfigurationError, match="Minimum, not a credit"):
        credit_of({"credit": {"_target_": CREDIT + "Minimum"}})


def test_the_entry_point_registers_with_the_verl_that_loads_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    registry: dict[str, Any] = {}
    algorithms = ModuleType("verl.trainer.ppo.core_algos")
    algorithms.__dict__["register_adv_est"] = lambda name: (
        lambda function: registry.setdefault(name, function)
    )
    for name in ("verl", "verl.trainer", "verl.trainer.ppo"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, algorithms.__name__, algorithms)
    importlib.reload(verl_registration)
    assert registry == {"prm_stepwise": step_advantages}


class Output(pydantic.BaseModel):
    """As much of verl's `AgentLoopOutput` as counts."""

    prompt_ids: list[int]
    response_ids: list[int]
    response_mask: list[int]
    reward_score: float | None = None
    num_turns: int = 0
    extra_fields: dict[str, Any] = pydantic.Field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        output = self.model_dump(exclude_unset=True)
        if output.pop("reward_score", None) is not None:
            output["rm_scores"] = torch.zeros(len(self.response_ids), dtype=torch.float32)
        return output


class Loop:
    def __init__(self, **options: Any) -> None:
        assert options == {"trainer_config": "config"}

    async def run(self, sampling_params: dict[str, Any], **fields: Any) -> Output:
        assert (sampling_params, fields) == ({"top_p": 1.0}, {"raw_prompt": []})
        return Output(prompt_ids=[1], response_ids=[2, 3, 4], response_mask=[1, 1, 1], num_turns=2)


async def test_an_output_carries_step_scores_once_it_is_rewarded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loops = ModuleType("loops_of_verl")
    loops.__dict__["Loop"] = Loop
    monkeypatch.setitem(sys.modules, "loops_of_verl", loops)
    loop = StepAgentLoop(loop="loops_of_verl.Loop", trainer_config="config")
    output = await loop.run({"top_p": 1.0}, raw_prompt=[])
    assert isinstance(output, Output)
    assert "rm_scores" not in output.as_dict()
    output.reward_score = 1.5
    parts = {"step_scores": [0.5, 0.75], "step_sizes": [1, 2], "outcome": 1.0}
    output.extra_fields["reward_extra_info"] = {
        name: json.dumps(part) for name, part in parts.items()
    }
    row = output.as_dict()["rm_scores"]
    assert row.dtype == torch.float32
    assert row.tolist() == encode([0.5, 0.75], [1, 2], 1.0)
    assert output.as_dict()["num_turns"] == 2
    output.extra_fields["reward_extra_info"] = {"score": 1.5}
    with pytest.raises(ConfigurationError, match="PrmRewardManager"):
        output.as_dict()
