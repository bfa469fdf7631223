"""Packs: what is computed in one is what is computed for each example alone."""

from __future__ import annotations

import copy
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    Gemma2Config,
    LlamaConfig,
    MistralConfig,
    PreTrainedConfig,
    Qwen2Config,
    Qwen3Config,
)

from prm_search.errors import ConfigurationError
from prm_search.prms.family import PrmFamily
from prm_search.prms.tagged_head import TaggedHead
from prm_search.prms.verdict_tokens import VerdictTokens
from trainers.cpu_attention import attend
from trainers.packed_attention import packed_attention, use_packed_attention
from trainers.packing import Example, epoch_batches, filler_lengths, make_pack, split_batch
from trainers.step_model import StepModel, load_step_model

FAMILIES = [TaggedHead(), VerdictTokens(tag="<extra_0>")]
LENGTHS = st.lists(st.integers(1, 50), min_size=1, max_size=40)


def draw_examples(lengths: tuple[int, ...]) -> list[Example]:
    rng = random.Random(0)
    return [
        Example(
            token_ids=tuple(rng.randrange(200) for _ in range(length)),
            positions=(length // 2, length - 1),
            values=(1.0, 0.0),
        )
        for length in lengths
    ]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: type(family).__name__)
def test_logits_in_a_pack_are_those_of_each_example_alone(
    tiny_model: Path, family: PrmFamily
) -> None:
    model = load_step_model(str(tiny_model), family, AutoTokenizer.from_pretrained(tiny_model))
    examples = draw_examples((5, 300, 17, 1))
    with torch.no_grad():
        packed = model.score(make_pack(examples))
        alone = torch.cat([model.score(make_pack([example])) for example in examples])
        model.model.set_attn_implementation("eager")
        plain = torch.cat([model.score(make_pack([example])) for example in examples])
    torch.testing.assert_close(packed, alone, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(packed, plain, atol=1e-5, rtol=1e-5)


def test_gradients_of_a_pack_are_those_of_padded_examples(tiny_model: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    torch.manual_seed(0)
    model = load_step_model(str(tiny_model), TaggedHead(), tokenizer)
    examples = draw_examples((9, 30, 4))

    def gradient(loss: torch.Tensor) -> torch.Tensor:
        model.zero_grad()
        loss.backward()
        found = model.model.get_parameter("model.layers.0.self_attn.k_proj.weight").grad
        assert found is not None
        return found.clone()

    packed = gradient(model.score(make_pack(examples)).square().sum())
    model.model.set_attn_implementation("eager")
    longest = max(len(example.token_ids) for example in examples)
    ids = torch.tensor(
        [list(item.token_ids) + [0] * (longest - len(item.token_ids)) for item in examples]
    )
    mask = torch.tensor(
        [[1] * len(item.token_ids) + [0] * (longest - len(item.token_ids)) for item in examples]
    )
    logits = model.model(input_ids=ids, attention_mask=mask).logits
    chosen = torch.cat([logits[i, list(item.positions)] for i, item in enumerate(examples)])
    torch.testing.assert_close(packed, gradient(chosen.square().sum()), atol=1e-4, rtol=1e-4)


def test_long_examples_take_the_fused_kernel_and_mean_the_same() -> None:
    query, key, value = (torch.randn(1, heads, 900, 8) for heads in (4, 2, 2))
    lengths = (850, 50)
    actual, _ = packed_attention(
        torch.nn.Module(), query, key, value, None, lengths=lengths, scaling=0.3
    )
    ids = torch.repeat_interleave(torch.arange(2), torch.tensor(lengths))
    mask = (ids[:, None] == ids[None]) & torch.ones(900, 900, dtype=torch.bool).tril()
    expected = torch.nn.functional.scaled_dot_product_attention(
        query, key, value, attn_mask=mask, scale=0.3, enable_gqa=True
    )
    torch.testing.assert_close(actual, expected.transpose(1, 2), atol=1e-5, rtol=1e-5)


def test_gradient_checkpointing_changes_no_gradient(tiny_model: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    gradients: list[torch.Tensor] = []
    for is_checkpointed in (False, True):
        torch.manual_seed(0)
        model = load_step_model(str(tiny_model), TaggedHead(), tokenizer).train()
        if is_checkpointed:
            model.model.gradient_checkpointing_enable({"use_reentrant": False})
        model.score(make_pack(draw_examples((20, 8)))).square().sum().backward()
        found = model.model.get_parameter("model.embed_tokens.weight").grad
        assert found is not None
        gradients.append(found)
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize(
    "config_class",
    [LlamaConfig, Qwen2Config, Qwen3Config, MistralConfig, Gemma2Config],
    ids=lambda config_class: config_class.model_type,
)
def test_other_architectures_are_packed_as_well(config_class: type[PreTrainedConfig]) -> None:
    torch.manual_seed(0)
    options: dict[str, Any] = {
        "vocab_size": 200,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "attn_logit_softcapping": None,
    }
    inner = AutoModelForCausalLM.from_config(config_class(**options))
    plain = copy.deepcopy(inner)
    use_packed_attention(inner)
    model = StepModel(inner, (3, 4))
    examples = draw_examples((12, 7, 31))
    packed = model.score(make_pack(examples))
    alone = torch.cat(
        [
            plain(torch.tensor([item.token_ids])).logits[0][list(item.positions)][:, [3, 4]]
            for item in examples
        ]
    )
    torch.testing.assert_close(packed, alone, atol=1e-5, rtol=1e-5)
    packed.square().sum().backward()
    alone.square().sum().backward()
    for (name, actual), expected in zip(inner.named_parameters(), plain.parameters(), strict=True):
        assert actual.grad is not None, name
        torch.testing.assert_close(actual.grad, expected.grad, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("asked", [None, [0, 3, 6, 11], [5]])
def test_the_derivative_of_attention_is_right(asked: list[int] | None) -> None:
    torch.manual_seed(0)
    parts = [torch.randn(2, 12, 3, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    assert torch.autograd.gradcheck(lambda q, k, v: attend(q, k, v, (5, 1, 6), 0.7, asked), parts)


@given(
    lengths=st.lists(st.integers(1, 30), min_size=1, max_size=5),
    share=st.floats(0, 1),
    seed=st.integers(0, 99),
)
@settings(deadline=None)
def test_attention_that_is_asked_for_is_that_of_all(
    lengths: list[int], share: float, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    query, key, value = (torch.randn(2, sum(lengths), 4, generator=generator) for _ in range(3))
    is_asked = torch.rand(sum(lengths), generator=generator) < share
    scored = is_asked.nonzero()[:, 0].tolist()
    found = attend(query, key, value, lengths, 0.5, scored)
    expected = attend(query, key, value, lengths, 0.5) * is_asked[None, :, None]
    torch.testing.assert_close(found, expected)


def test_autocast_loses_no_more_than_it_does_in_a_plain_model() -> None:
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=200,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    plain = AutoModelForCausalLM.from_config(config)
    inner = copy.deepcopy(plain)
    use_packed_attention(inner)
    model = StepModel(inner, (3, 4))
    examples = draw_examples((40, 40, 40))
    ids = torch.tensor([item.token_ids for item in examples])

    def gradient(logits: torch.Tensor, of: torch.nn.Module) -> torch.Tensor:
        of.zero_grad()
        logits.float().square().sum().backward()
        return torch.cat([part.grad.flatten() for part in of.parameters() if part.grad is not None])

    def plain_logits() -> torch.Tensor:
        return plain(ids).logits[:, list(examples[0].positions)][..., [3, 4]]

    exact = gradient(plain_logits(), plain)
    with torch.autocast("cpu", torch.bfloat16):
        usual = gradient(plain_logits(), plain)
        packed = gradient(model.score(make_pack(examples)), inner)
    assert 0 < (packed - exact).norm() < 1.5 * (usual - exact).norm()


def test_a_copy_computes_with_its_own_weights(tiny_model: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    model = load_step_model(str(tiny_model), TaggedHead(), tokenizer)
    pack = make_pack(draw_examples((12, 7)))
    expected = model.score(pack)
    copied = copy.deepcopy(model)
    for weight in model.parameters():
        nn.init.zeros_(weight)
    torch.testing.assert_close(copied.score(pack), expected)


def test_a_window_that_an_example_outgrows_is_refused() -> None:
    query = torch.randn(1, 1, 10, 4)
    with pytest.raises(ConfigurationError, match="sliding window of 6"):
        packed_attention(
            torch.nn.Module(), query, query, query, None, lengths=(10,), scaling=1, sliding_window=6
        )


@given(lengths=LENGTHS, tokens_per_step=st.integers(1, 200), seed=st.integers(0, 99))
def test_every_example_is_in_one_batch_of_an_epoch(
    lengths: list[int], tokens_per_step: int, seed: int
) -> None:
    batches = epoch_batches(lengths, tokens_per_step=tokens_per_step, seed=seed, epoch=0)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        assert sum(lengths[i] for i in batch) <= tokens_per_step or len(batch) == 1
    again = epoch_batches(lengths, tokens_per_step=tokens_per_step, seed=seed, epoch=0)
    assert batches == again


@given(lengths=LENGTHS, tokens_per_pack=st.integers(1, 200), num_processes=st.integers(1, 4))
@settings(deadline=None)
def test_packs_divide_a_batch_and_every_process_has_as_many(
    lengths: list[int], tokens_per_pack: int, num_processes: int
) -> None:
    packs = split_batch(
        range(len(lengths)), lengths, tokens_per_pack=tokens_per_pack, num_processes=num_processes
    )
    assert all(len(row) == num_processes for row in packs)
    found = sorted(index for row in packs for pack in row for index in pack)
    assert found == list(range(len(lengths)))
    for row in packs:
        for pack in row:
            assert sum(lengths[i] for i in pack) <= tokens_per_pack or len(pack) == 1


@given(lengths=LENGTHS, multiple=st.sampled_from([1, 7, 128]))
def test_fillers_complete_a_pack_and_are_no_longer_than_its_examples(
    lengths: list[int], multiple: int
) -> None:
    fillers = filler_lengths(lengths, multiple=multiple)
    assert (sum(lengths) + sum(fillers)) % multiple == 0
    assert sum(fillers) < multiple
    assert all(0 < length <= max(lengths) for length in fillers)
