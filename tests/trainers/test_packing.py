"""Packs: what is computed in one is what is computed for each example alone."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from prm_search.errors import ConfigurationError
from prm_search.prms.family import PrmFamily
from prm_search.prms.tagged_head import TaggedHead
from prm_search.prms.verdict_tokens import VerdictTokens
from trainers.packed_attention import packed_attention, use_packed_attention
from trainers.packing import Example, epoch_batches, make_pack, split_batch
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


def test_another_architecture_is_packed_as_well() -> None:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=200,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    inner = LlamaForCausalLM(config)
    use_packed_attention(inner)
    model = StepModel(inner, (3, 4))
    examples = draw_examples((12, 7))
    with torch.no_grad():
        packed = model.score(make_pack(examples))
        inner.set_attn_implementation("sdpa")
        alone = torch.cat([model.score(make_pack([example])) for example in examples])
    torch.testing.assert_close(packed, alone, atol=1e-5, rtol=1e-5)


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
