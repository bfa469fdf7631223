from __future__ import annotations

from pathlib import Path

import pytest

from prm_search.fakes import FakeScorer
from prm_search.plugins.trl import TrlReward
from prm_search.rewards.rewarder import LocalRewarder
from tests.serving.clients import PROBLEM, SOLUTION, WRONG, fake_source

EOS = 7


async def test_completions_of_both_forms_are_rewarded_and_logged() -> None:
    metrics: dict[str, float] = {}
    extra: dict[str, list[str]] = {}
    function = TrlReward(LocalRewarder(fake_source()))
    numbers = await function(
        prompts=[PROBLEM, [{"role": "user", "content": PROBLEM}]],
        completions=[SOLUTION, [{"role": "assistant", "content": WRONG}]],
        completion_ids=[[1, EOS], [2]],
        answer=["12", "12"],
        trainer_state=None,
        log_metric=metrics.__setitem__,
        log_extra=extra.__setitem__,
    )
    assert numbers == pytest.approx([1.9, 0.1])
    assert metrics["prm_search/outcome"] == 0.5
    assert extra["prm_search/steps"] == ["0.90 0.90", "0.10 0.90"]


async def test_what_failed_has_no_reward() -> None:
    source = fake_source(FakeScorer(failing_calls=frozenset({0})))
    metrics: dict[str, float] = {}
    numbers = await TrlReward(LocalRewarder(source))(
        prompts=[PROBLEM], completions=[SOLUTION], answer=["12"], log_metric=metrics.__setitem__
    )
    assert numbers == [None]
    assert metrics["prm_search/score_failures"] == 1.0


async def test_a_completion_without_its_last_token_is_cut_off() -> None:
    function = TrlReward(LocalRewarder(fake_source()), eos_token_ids=[EOS])
    numbers = await function(
        prompts=[PROBLEM] * 2,
        completions=[SOLUTION] * 2,
        completion_ids=[[1, EOS], [1, 2]],
        answer=["12"] * 2,
    )
    assert numbers == pytest.approx([1.9, 0.9])


def test_trl_trains_with_it(tiny_model: Path, tmp_path: Path) -> None:
    trl = pytest.importorskip("trl")
    datasets = pytest.importorskip("datasets")
    transformers = pytest.importorskip("transformers")
    from trl.trainer.utils import is_async_callable

    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_model)
    source = fake_source()
    function = TrlReward(LocalRewarder(source), eos_token_ids=[tokenizer.eos_token_id])
    assert is_async_callable(function)
    rows = [{"prompt": PROBLEM, "answer": "12"}, {"prompt": "How much is 1 + 1?", "answer": "2"}]
    trainer = trl.GRPOTrainer(
        model=str(tiny_model),
        reward_funcs=[function],
        args=trl.GRPOConfig(
            output_dir=str(tmp_path),
            max_steps=1,
            per_device_train_batch_size=4,
            num_generations=4,
            max_completion_length=8,
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            report_to=[],
            logging_steps=1,
            save_strategy="no",
        ),
        train_dataset=datasets.Dataset.from_list(rows),
        processing_class=tokenizer,
    )
    trainer.train()
    logged = trainer.state.log_history[0]
    assert logged["prm_search/outcome"] == 0.0
    assert "rewards/prm_search/mean" in logged
    assert source.ledger.usages
