"""The PRM trainer: what is labeled, what is learned, and what the checkpoint looks like."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer

from prm_search.data.stepwise import StepwiseRow
from prm_search.prms.tagged_head import TaggedHead
from trainers.language_model import IGNORE, OptimizerSettings, train
from trainers.prm import (
    encode,
    evaluate,
    load_backbone,
    load_prm,
    make_batch,
    save_prm,
    step_loss,
)

RIGHT = StepwiseRow(prompt="Count.", completions=("one", "two"), labels=(True, True))
FLAWED = StepwiseRow(
    prompt="Count.", completions=("one", "three", "four"), labels=(True, False, True)
)


def test_steps_after_the_first_error_are_not_labeled(base: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(base)
    example = encode(FLAWED, tokenizer, TaggedHead())
    tag = tokenizer.convert_tokens_to_ids("<extra_0>")
    assert [example.token_ids[position] for position in example.tags] == [tag] * 3
    assert example.targets == [(example.tags[0], 1), (example.tags[1], 0)]


def test_a_batch_labels_nothing_but_tags(base: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(base)
    examples = [encode(row, tokenizer, TaggedHead()) for row in (RIGHT, FLAWED)]
    tokens, labels = make_batch(examples, tokenizer.pad_token_id, torch.device("cpu"))
    tag = tokenizer.convert_tokens_to_ids("<extra_0>")
    assert (tokens[labels != IGNORE] == tag).all()
    assert [(row != IGNORE).sum().item() for row in labels] == [2, 2]


def test_the_checkpoint_has_the_layout_that_vllm_serves(base: Path, tmp_path: Path) -> None:
    model = load_backbone(base)
    save_prm(model, AutoTokenizer.from_pretrained(base), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["architectures"] == ["Qwen2ForProcessRewardModel"]
    weights = load_file(tmp_path / "model.safetensors")
    heads = {name for name in weights if not name.startswith("model.")}
    assert heads == {"score.0.weight", "score.0.bias", "score.2.weight", "score.2.bias"}
    assert weights["score.2.weight"].shape == (2, 256)


def test_a_saved_prm_loads_with_the_same_weights_but_for_rounding(
    base: Path, tmp_path: Path
) -> None:
    model = load_backbone(base)
    tokenizer = AutoTokenizer.from_pretrained(base)
    save_prm(model, tokenizer, tmp_path)
    loaded = load_prm(tmp_path)
    for name, weight in model.named_parameters():
        torch.testing.assert_close(loaded.get_parameter(name), weight.bfloat16().float())
    tokens = torch.tensor([encode(RIGHT, tokenizer, TaggedHead()).token_ids])
    with torch.no_grad():
        expected = model.score(model.model(tokens).last_hidden_state)
        actual = loaded.score(loaded.model(tokens).last_hidden_state)
    torch.testing.assert_close(actual, expected, atol=0.05, rtol=0.0)


def test_the_backbone_is_that_of_the_causal_model(base: Path) -> None:
    model = load_backbone(base)
    weights = load_file(base / "model.safetensors")
    torch.testing.assert_close(
        model.model.embed_tokens.weight, weights["model.embed_tokens.weight"].float()
    )


def test_training_learns_to_tell_right_from_wrong_steps(base: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(base)
    rng = random.Random(0)
    rows: list[StepwiseRow] = []
    for _ in range(32):
        labels = tuple(rng.random() < 0.7 for _ in range(4))
        steps = tuple("Ben=19" if label else "Ben=18" for label in labels)
        rows.append(StepwiseRow(prompt="Ben?", completions=steps, labels=labels))
    examples = [encode(row, tokenizer, TaggedHead()) for row in rows]
    batch = make_batch(examples, tokenizer.pad_token_id, torch.device("cpu"))
    torch.manual_seed(0)
    model = load_backbone(base)
    losses: list[float] = []
    train(
        model,
        loss_of=lambda _: step_loss(model, batch),
        settings=OptimizerSettings(num_steps=30, num_warmup_steps=5, learning_rate=2e-3),
        description="test",
        on_step=lambda _, loss: losses.append(loss),
    )
    assert losses[-1] < 0.1 < losses[0]
    assert evaluate(model, examples, tokenizer.pad_token_id).f1 == 1.0


def test_a_loss_that_is_not_finite_stops_the_training(base: Path) -> None:
    model = load_backbone(base)
    before = model.get_parameter("score.2.weight").clone()
    with pytest.raises(FloatingPointError, match="step 1 is nan"):
        train(
            model,
            loss_of=lambda _: model.get_parameter("score.2.weight").sum() * float("nan"),
            settings=OptimizerSettings(num_steps=3),
            description="test",
        )
    torch.testing.assert_close(model.get_parameter("score.2.weight"), before)
