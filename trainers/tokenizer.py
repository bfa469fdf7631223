"""A byte-level BPE tokenizer in Qwen2's own format.

Transformers gives every model of type `qwen2` a `Qwen2Tokenizer`, whatever class was saved, and
a tokenizer of another shape would then encode wrongly in silence. So the vocabulary is trained
with exactly Qwen2's pre-tokenization (single digits, words with their leading space).
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import Qwen2Tokenizer
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

START, END, PAD, STEP_TAG = "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<extra_0>"

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}{{ message['content'] + '<|im_end|>' }}"
    "{% else %}{{ '<|im_start|>' + message['content'] + '<|im_end|>' }}{% endif %}"
    "{% endfor %}"
)
"""`<|im_start|>question<|im_end|>answer<|im_end|>`: short, because the models are small."""


def train_tokenizer(corpus: Iterable[str], vocab_size: int) -> Qwen2Tokenizer:
    """Train a tokenizer with a chat template and the special tokens that PRMs need.

    Args:
        corpus: texts.
        vocab_size: at most this many entries, the special tokens not counted.
    """
    trained = Tokenizer(models.BPE())
    trained.normalizer = normalizers.NFC()
    trained.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    bpe = trainers.BpeTrainer(
        vocab_size=vocab_size,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    trained.train_from_iterator(corpus, bpe)
    model = json.loads(trained.to_str())["model"]
    return Qwen2Tokenizer(
        vocab=model["vocab"],
        merges=[tuple(merge) for merge in model["merges"]],  # pyright: ignore[reportArgumentType]
        unk_token=PAD,
        eos_token=END,
        pad_token=PAD,
        extra_special_tokens=[START, STEP_TAG],
        chat_template=CHAT_TEMPLATE,
    )
