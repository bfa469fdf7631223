"""The sandbox tokenizer means the same to whoever loads it."""

from __future__ import annotations

import json
import random
import unicodedata
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from prm_search.sandbox.problems import LEVELS, Split, draw_split_world
from prm_search.sandbox.solutions import write_solution
from prm_search.sandbox.wording import STEP_SEPARATOR, write_problem


@given(st.text(max_size=200))
@settings(max_examples=50)
def test_any_text_survives_encoding(tokenizer: PreTrainedTokenizerBase, text: str) -> None:
    ids = tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
    assert tokenizer.decode(ids) == unicodedata.normalize("NFC", text)


def test_auto_tokenizer_gives_the_same_ids(
    tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "qwen2"}))
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    rng = random.Random(0)
    for level in LEVELS:
        world = draw_split_world(rng, level, Split.train)
        text = write_problem(world) + STEP_SEPARATOR.join(write_solution(world, rng))
        assert loaded.encode(text + "<extra_0> café") == tokenizer.encode(text + "<extra_0> café")
    chat = [{"role": "user", "content": "Ann?"}, {"role": "assistant", "content": "12"}]
    expected = "<|im_start|>Ann?<|im_end|>12<|im_end|>"
    assert loaded.apply_chat_template(chat, tokenize=False) == expected


def test_digits_and_the_separator_are_single_tokens(tokenizer: PreTrainedTokenizerBase) -> None:
    pieces = tokenizer.tokenize("Ben: Ann=12 and 12+7=19, so Ben=19.\n\nThe answer is \\boxed{19}.")
    assert ".ĊĊ" in pieces
    assert all(len(piece) == 1 for piece in pieces if piece[0].isdigit())
