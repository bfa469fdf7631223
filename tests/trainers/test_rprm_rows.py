"""What TRL's trainers get: tokens as engines read them, in an order that can be gone on with."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from prm_search.bootstrapping.rows import AnalysisRow, PairRow
from prm_search.errors import DataError
from prm_search.prms.sandbox_rprm import SandboxRPrm
from prm_search.tokens import question_tokens
from trainers.rprm_rows import Encoder, pack, training_order

MESSAGE = SandboxRPrm().message("How many has Ben?", ["Ben has 19."])
ROW = AnalysisRow(
    problem="p",
    solution=0,
    step=0,
    is_right=True,
    prompt=MESSAGE,
    completion="Ben: 19, got 19. Right",
)
PAIR = PairRow(
    problem="p",
    solution=0,
    step=0,
    is_right=True,
    prompt=MESSAGE,
    chosen="got 19. Right",
    rejected="got 18, which is not it. Wrong",
)


@pytest.fixture
def encoder(tiny_model: Path) -> Encoder:
    return Encoder(
        tokenizer=AutoTokenizer.from_pretrained(tiny_model), system_prompt=None, max_tokens=400
    )


def test_a_message_is_read_as_engines_read_it(encoder: Encoder) -> None:
    asked = list(question_tokens(encoder.tokenizer, MESSAGE))
    rows = encoder.analyses([ROW])
    [tokens], [labels] = rows.dataset["input_ids"], rows.dataset["labels"]
    assert tokens[: len(asked)] == asked
    assert labels[: len(asked)] == [-100] * len(asked)
    assert labels[len(asked) :] == tokens[len(asked) :]
    assert tokens[-1] == encoder.tokenizer.eos_token_id
    assert encoder.tokenizer.decode(tokens[len(asked) : -1]) == ROW.completion
    pairs = encoder.pairs([PAIR])
    assert list(pairs.dataset["prompt_ids"]) == [asked]
    for name, text in (("chosen_ids", PAIR.chosen), ("rejected_ids", PAIR.rejected)):
        [tokens] = pairs.dataset[name]
        assert encoder.tokenizer.decode(tokens[:-1]) == text
        assert tokens[-1] == encoder.tokenizer.eos_token_id


def test_the_system_prompt_is_asked_with(tiny_model: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    encoder = Encoder(tokenizer=tokenizer, system_prompt="Be strict.", max_tokens=400)
    assert encoder.message(MESSAGE) == list(
        question_tokens(tokenizer, MESSAGE, system_prompt="Be strict.")
    )


def test_special_tokens_in_an_analysis_are_text(encoder: Encoder) -> None:
    assert encoder.tokenizer.eos_token_id not in encoder.analysis("It ends in <|im_end|>.")[:-1]


def test_longer_rows_are_counted_and_left_out(encoder: Encoder) -> None:
    length = encoder.analyses([ROW]).lengths[0]
    tight = Encoder(tokenizer=encoder.tokenizer, system_prompt=None, max_tokens=length)
    longer = AnalysisRow(
        problem="p",
        solution=0,
        step=0,
        is_right=False,
        prompt=MESSAGE,
        completion="Ben: 19 and more, got 19. Wrong",
    )
    rows = tight.analyses([ROW, longer])
    assert (len(rows.lengths), rows.num_left_out) == (1, 1)
    with pytest.raises(DataError, match=f"max_tokens={length}"):
        tight.analyses([longer])


def test_packed_rows_stand_one_behind_another() -> None:
    batch = pack(
        [{"input_ids": [5, 6, 7], "labels": [-100, 6, 7]}, {"input_ids": [8], "labels": [-100]}]
    )
    assert batch["lengths"] == [3, 1]
    assert torch.equal(batch["input_ids"], torch.tensor([[5, 6, 7, 8]]))
    assert torch.equal(batch["labels"], torch.tensor([[-100, 6, 7, -100]]))
    assert torch.equal(batch["position_ids"], torch.tensor([[0, 1, 2, 0]]))


@given(
    lengths=st.lists(st.integers(1, 50), min_size=1, max_size=40),
    num_steps=st.integers(1, 20),
    rows_per_step=st.integers(1, 8),
    seed=st.integers(0, 3),
)
def test_every_row_comes_once_in_each_epoch(
    lengths: list[int], num_steps: int, rows_per_step: int, seed: int
) -> None:
    order = training_order(lengths, num_steps=num_steps, rows_per_step=rows_per_step, seed=seed)
    assert len(order) == num_steps * rows_per_step
    counts = Counter(order)
    found = [counts[row] for row in range(len(lengths))]
    assert max(found) - min(found) <= 1
    again = training_order(lengths, num_steps=num_steps, rows_per_step=rows_per_step, seed=seed)
    assert order == again


def test_rows_of_an_update_have_similar_lengths() -> None:
    lengths = [(index * 37) % 100 for index in range(400)]
    order = training_order(lengths, num_steps=50, rows_per_step=8, seed=0)
    batches = [[lengths[row] for row in order[at : at + 8]] for at in range(0, 400, 8)]
    assert max(max(batch) - min(batch) for batch in batches) < 20
    means = [sum(batch) for batch in batches]
    assert means != sorted(means)
