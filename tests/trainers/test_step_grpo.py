"""Token advantages through real TRL, on a tiny model."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("trl")
import datasets
from transformers import AutoTokenizer
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from prm_search.budget import Ledger
from prm_search.errors import ConfigurationError, ScoringError
from prm_search.fakes import FakeGrader, FakeScorer
from prm_search.plugins.reading import Reading
from prm_search.rewards.credit import GroupCredit, Minimum
from prm_search.rewards.reward import Reward, RewardSource, step_spans
from prm_search.rewards.sources import AnswerSource, Combination, PrmSource
from prm_search.types import Failure, StepScores, StopReason, Trajectory
from tests.conftest import PROBLEM, STEPS
from trainers.completion_steps import completion_steps
from trainers.step_grpo import StepGRPOTrainer

LOSSES = ("grpo", "dapo", "dr_grpo", "bnpo", "cispo", "sapo", "luspo", "vespo")
COMPLETIONS = (
    "".join(STEPS),
    STEPS[0] + "The answer is \\boxed{12}.",
    STEPS[0] + STEPS[1],  # cut off: no end token follows
    "",  # nothing but the end token
)
GROUP = len(COMPLETIONS)
FAILURE = Failure(kind="EngineError", message="gone")


@pytest.fixture(scope="module")
def tokenizer(tiny_model: Path) -> Any:
    return AutoTokenizer.from_pretrained(tiny_model)


def token_ids(tokenizer: Any) -> list[list[int]]:
    ends = [tokenizer.eos_token_id]
    return [
        tokenizer.encode(text, add_special_tokens=False) + (ends if index != 2 else [])
        for index, text in enumerate(COMPLETIONS)
    ]


def fixed_rollouts(tokenizer: Any) -> Callable[..., dict[str, Any]]:
    def rollout_func(prompts: Sequence[str], trainer: Any) -> dict[str, Any]:
        # Processes hold different parts of a group.
        first = trainer.accelerator.process_index * len(prompts)
        completions = token_ids(tokenizer)
        chosen = [completions[(first + row) % GROUP] for row in range(len(prompts))]
        return {
            "prompt_ids": [tokenizer.encode(prompt) for prompt in prompts],
            "completion_ids": chosen,
            "logprobs": [[0.0] * len(ids) for ids in chosen],
        }

    return rollout_func


class FixedSource:
    """The scores of a step are its place, so that each can be told from the others."""

    ledger = Ledger()

    def __init__(self, fails: Callable[[Trajectory], bool] = lambda _: False) -> None:
        self._fails = fails

    async def reward(self, rollouts: Sequence[Trajectory]) -> list[Reward]:
        rewards: list[Reward] = []
        for rollout in rollouts:
            spans = step_spans(rollout)
            if self._fails(rollout):
                rewards.append(Reward(spans=spans, scores=FAILURE, outcome=FAILURE))
                continue
            scores = StepScores(values=tuple(0.9 - 0.3 * step for step in range(len(spans))))
            outcome = float("38}" in rollout.text and rollout.stop_reason is StopReason.END)
            rewards.append(Reward(spans=spans, scores=scores, outcome=outcome))
        return rewards


def arguments(folder: Path, **given: Any) -> Any:
    return GRPOConfig(
        **{
            "output_dir": str(folder),
            "max_steps": 2,
            "per_device_train_batch_size": GROUP,
            "num_generations": GROUP,
            "max_completion_length": 128,
            "scale_rewards": "none",
            "learning_rate": 1e-3,
            "use_cpu": True,
            "bf16": False,
            "gradient_checkpointing": False,
            "report_to": [],
            "logging_steps": 1,
            "save_strategy": "no",
            "disable_tqdm": True,
        }
        | given
    )


def rows() -> Any:
    return datasets.Dataset.from_list([{"prompt": PROBLEM, "answer": "38"}] * 4)


def step_trainer(
    tiny_model: Path,
    tokenizer: Any,
    folder: Path,
    *,
    source: RewardSource | None = None,
    options: dict[str, Any] | None = None,
    **given: Any,
) -> StepGRPOTrainer:
    return StepGRPOTrainer(
        str(tiny_model),
        source=source or FixedSource(),
        args=arguments(folder, **(options or {})),
        train_dataset=rows(),
        processing_class=tokenizer,
        rollout_func=fixed_rollouts(tokenizer),
        **given,
    )


def curve(trainer: Any, name: str = "loss") -> list[float]:
    if not trainer.state.log_history:
        trainer.train()
    return [line[name] for line in trainer.state.log_history if "loss" in line]


@pytest.mark.parametrize("loss_type", LOSSES)
def test_outcome_credit_is_plain_grpo(
    loss_type: str, tiny_model: Path, tokenizer: Any, tmp_path: Path
) -> None:
    def outcome(completions: Sequence[str], **_: object) -> list[float | None]:
        return [float("38}" in text) for text in completions]

    plain = GRPOTrainer(
        str(tiny_model),
        reward_funcs=[outcome],
        args=arguments(tmp_path, loss_type=loss_type),
        train_dataset=rows(),
        processing_class=tokenizer,
        rollout_func=fixed_rollouts(tokenizer),
    )
    # Without the rollout itself the mean of the others is further away, by G / (G - 1).
    credit = GroupCredit(process=None, outcome_weight=(GROUP - 1) / GROUP)
    stepwise = step_trainer(
        tiny_model, tokenizer, tmp_path, credit=credit, options={"loss_type": loss_type}
    )
    assert curve(stepwise) == pytest.approx(curve(plain), rel=1e-5, abs=1e-6)
    norms = curve(plain, "grad_norm")
    assert min(norms) > 0
    assert curve(stepwise, "grad_norm") == pytest.approx(norms, rel=1e-4)


@pytest.mark.parametrize("loss_type", LOSSES)
def test_every_loss_trains_with_advantages_of_tokens(
    loss_type: str, tiny_model: Path, tokenizer: Any, tmp_path: Path
) -> None:
    options = {
        "loss_type": loss_type,
        "gradient_accumulation_steps": 2,
        "per_device_train_batch_size": GROUP // 2,
        "num_iterations": 2,
        "beta": 0.01,
        "epsilon_high": 0.3,
        "off_policy_mask_threshold": 10.0,
        "top_entropy_quantile": 0.5,
    }
    trainer = step_trainer(tiny_model, tokenizer, tmp_path, options=options)
    assert all(map(math.isfinite, curve(trainer)))
    assert min(curve(trainer, "grad_norm")) > 0


def advantages(trainer: StepGRPOTrainer) -> dict[str, torch.Tensor]:
    model: Any = trainer.model
    model.train()
    inputs = [dict(row) for row in [rows()[0]] * GROUP]
    return trainer._generate_and_score_completions(inputs)


def test_advantages_land_on_the_tokens_of_their_steps(
    tiny_model: Path, tokenizer: Any, tmp_path: Path
) -> None:
    credit = GroupCredit(process=Minimum(), outcome_weight=0)
    output = advantages(step_trainer(tiny_model, tokenizer, tmp_path, credit=credit))
    ids = token_ids(tokenizer)
    # Returns: the lowest score from a step on. First ones: .3, .6, .6, and 0 for the empty one.
    others = [(0.6 + 0.6 + 0) / 3, (0.3 + 0.6 + 0) / 3, (0.3 + 0.6 + 0) / 3, (0.3 + 1.2) / 3]
    returns = [[0.3, 0.3, 0.3], [0.6, 0.6], [0.6, 0.6], [0.0]]
    for row in range(GROUP):
        length = len(ids[row])
        assert int(output["completion_mask"][row].sum()) == length
        values = output["advantages"][row]
        assert values[length:].abs().sum() == 0
        assert values[:length].tolist() == pytest.approx(
            [returns[row][0] - others[row]] * length, abs=1e-6
        )


class RisingSource(FixedSource):
    """Later steps are better, so that the running minimum differs from step to step."""

    async def reward(self, rollouts: Sequence[Trajectory]) -> list[Reward]:
        return [
            Reward(
                spans=step_spans(rollout),
                scores=StepScores(
                    values=tuple(0.1 + 0.3 * k for k in range(len(step_spans(rollout))))
                ),
            )
            for rollout in rollouts
        ]


def test_boundaries_of_steps_are_boundaries_of_advantages(
    tiny_model: Path, tokenizer: Any, tmp_path: Path
) -> None:
    credit = GroupCredit(outcome_weight=0)
    trainer = step_trainer(tiny_model, tokenizer, tmp_path, source=RisingSource(), credit=credit)
    output = advantages(trainer)
    ids = token_ids(tokenizer)[0]
    steps = completion_steps(tokenizer, ids, separator="\n\n", stop_reason=StopReason.END)
    assert [step.text for step in steps] == list(STEPS)
    sizes = [len(step.token_ids) for step in steps]
    values = output["advantages"][0][: len(ids)].tolist()
    changes = [place for place in range(1, len(ids)) if values[place] != values[place - 1]]
    assert changes == [sizes[0], sizes[0] + sizes[1]]
    # The return rises by 0.3, and in two of the three others as well; the third is empty.
    assert values[sizes[0]] - values[0] == pytest.approx(0.3 - 2 * 0.3 / 3)


def test_what_cannot_be_rewarded_is_out_of_the_loss(
    tiny_model: Path, tokenizer: Any, tmp_path: Path
) -> None:
    source = FixedSource(lambda rollout: rollout.stop_reason is StopReason.LENGTH)
    output = advantages(step_trainer(tiny_model, tokenizer, tmp_path, source=source))
    lengths = [len(ids) for ids in token_ids(tokenizer)]
    lengths[2] = 0
    assert output["completion_mask"].sum(1).tolist() == lengths
    assert int(output["num_items_in_batch"]) == sum(lengths)
    assert output["advantages"][2].abs().sum() == 0


def test_too_many_failures_stop_the_training(
    tiny_model: Path, tokenizer: Any, tmp_path: Path
) -> None:
    trainer = step_trainer(tiny_model, tokenizer, tmp_path, source=FixedSource(lambda _: True))
    with pytest.raises(ScoringError, match="4 of 4 rollouts could not be rewarded"):
        trainer.train()


def test_rewards_that_come_with_the_rollouts_are_not_asked_for_again(
    tiny_model: Path, tokenizer: Any, tmp_path: Path
) -> None:
    rollouts = fixed_rollouts(tokenizer)

    def rollout_func(prompts: Sequence[str], trainer: Any) -> dict[str, Any]:
        output = rollouts(prompts, trainer)
        given = [
            Trajectory(
                problem=Reading().problem(PROBLEM),
                steps=completion_steps(
                    tokenizer, ids, separator="\n\n", stop_reason=StopReason.END
                ),
            )
            for ids in output["completion_ids"]
        ]
        rewards = [
            Reward(spans=step_spans(one), outcome=float(row == 0)) for row, one in enumerate(given)
        ]
        return {**output, "trajectory": given, "reward": rewards}

    trainer = StepGRPOTrainer(
        str(tiny_model),
        credit=GroupCredit(process=None),
        args=arguments(tmp_path),
        train_dataset=rows(),
        processing_class=tokenizer,
        rollout_func=rollout_func,
    )
    output = advantages(trainer)
    assert output["advantages"][:, 0].tolist() == pytest.approx([1, -1 / 3, -1 / 3, -1 / 3])


def test_trajectories_with_other_tokens_than_the_completions_are_refused(
    tiny_model: Path, tokenizer: Any, tmp_path: Path
) -> None:
    rollouts = fixed_rollouts(tokenizer)

    def rollout_func(prompts: Sequence[str], trainer: Any) -> dict[str, Any]:
        # Steps as texts alone: their advantages would land on no token.
        given = [Reading().rollout(PROBLEM, COMPLETIONS[row], "38") for row in range(len(prompts))]
        return {**rollouts(prompts, trainer), "trajectory": given}

    trainer = StepGRPOTrainer(
        str(tiny_model),
        source=FixedSource(),
        args=arguments(tmp_path),
        train_dataset=rows(),
        processing_class=tokenizer,
        rollout_func=rollout_func,
    )
    with pytest.raises(ConfigurationError, match=r"0 tokens for completion 0, .* its token_ids"):
        advantages(trainer)


@pytest.mark.parametrize("num_rows", [GROUP, 2 * GROUP])
def test_the_table_of_completions_has_our_advantages_beside_their_rollouts(
    num_rows: int, tiny_model: Path, tokenizer: Any, tmp_path: Path
) -> None:
    options = {"per_device_train_batch_size": 2 * GROUP}  # the table has room for as many rows
    trainer = step_trainer(
        tiny_model,
        tokenizer,
        tmp_path,
        credit=GroupCredit(process=None, outcome_weight=10),
        options=options,
    )
    model: Any = trainer.model
    model.train()
    trainer._generate_and_score_completions([dict(rows()[0]) for _ in range(num_rows)])
    logs: Any = trainer._logs
    assert len(logs["completion"]) == num_rows
    expected = [10.0 if "38}" in text else -10 / 3 for text in logs["completion"]]
    assert list(logs["advantages"]) == pytest.approx(expected)


def test_an_update_of_which_nothing_is_known_changes_nothing(
    tiny_model: Path, tokenizer: Any, tmp_path: Path
) -> None:
    trainer = step_trainer(
        tiny_model,
        tokenizer,
        tmp_path,
        source=FixedSource(lambda _: True),
        max_failure_share=1.0,
    )
    model: Any = trainer.model
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert curve(trainer) == [0.0, 0.0]
    after: dict[str, torch.Tensor] = model.state_dict()
    assert all(value.equal(before[name]) for name, value in after.items())


def test_without_rewards_there_is_no_trainer(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="needs a source of rewards"):
        StepGRPOTrainer(str(tiny_model), args=arguments(tmp_path), train_dataset=rows())


def test_completions_of_trl_itself_are_read_rewarded_and_measured(
    tiny_model: Path, tokenizer: Any, tmp_path: Path
) -> None:
    source = Combination([PrmSource(FakeScorer()), AnswerSource(FakeGrader())])
    trainer = StepGRPOTrainer(
        str(tiny_model),
        source=source,
        args=arguments(tmp_path, max_completion_length=8, max_steps=1),
        train_dataset=rows(),
        processing_class=tokenizer,
    )
    trainer.train()
    logged = trainer.state.log_history[0]
    assert logged["prm_search/outcome"] == 0.0
    assert logged["prm_search/tokens_per_response"] <= 8
    assert source.ledger.usages
