"""Tiny checkpoints of random weights, of the true architectures with the true special tokens."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import (
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from prm_search.prms.answer_reward import AnswerReward
from prm_search.prms.math_shepherd import MathShepherd
from prm_search.prms.prm import Prm
from prm_search.prms.reason_eval import ReasonEval
from prm_search.prms.rlhflow import RLHFlow
from prm_search.prms.skywork_o1 import SkyworkO1
from prm_search.prms.tagged_head import TaggedHead
from trainers.tokenizer import train_tokenizer

CORPUS = [
    "Step 1: Janet's ducks lay 16 eggs per day. ки + - Step 2: 16 - 3 = 13 eggs are left.",
    "The answer is: 18 ки Question: Answer: Let's think step by step. $x^2 + 3 = \\boxed{12}$",
]
LLAMA_3_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA_3_TEMPLATE = (
    "{{ bos_token }}{{ '<|start_header_id|>system<|end_header_id|>\n\n"
    "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n' }}"
    "{% if messages[0]['role'] == 'system' %}{{ messages[0]['content'] | trim }}"
    "{% set messages = messages[1:] %}{% endif %}{{ '<|eot_id|>' }}"
    "{% for message in messages %}"
    "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'"
    " + message['content'] | trim + '<|eot_id|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
QWEN_TEMPLATE = (
    "{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\n"
    "Please reason step by step, and put your final answer within \\\\boxed{}.<|im_end|>\n' }}"
    "{% endif %}{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SHAPE = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 1024,
    "initializer_range": 0.3,
    "tie_word_embeddings": False,
}


@cache
def sentencepiece_tokenizer(pad_token: str, *, spaced: bool = True) -> Any:
    """As of Llama 2 and Mistral 7B.

    Args:
        pad_token: which the checkpoint chose.
        spaced: whether each part between special tokens is given a space, as their first
            conversions have it, or only the beginning of the text.
    """
    trained = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    trained.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=True)
    reserved = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(
        vocab_size=420, special_tokens=reserved, limit_alphabet=100, show_progress=False
    )
    trained.train_from_iterator(CORPUS * 30, trainer)
    model = json.loads(trained.to_str())["model"]
    tokenizer = Tokenizer(
        models.BPE(
            vocab=model["vocab"],
            merges=[tuple(merge) for merge in model["merges"]],
            unk_token="<unk>",
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    if spaced:
        spaces = [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
        tokenizer.normalizer = normalizers.Sequence(spaces)
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", model["vocab"]["<s>"])]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        pad_token=pad_token,
    )


@cache
def llama_3_tokenizer() -> Any:
    """As of Llama 3.1 Instruct."""
    begin = "<|begin_of_text|>"
    special = [begin, "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(LLAMA_3_WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS * 30, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A", special_tokens=[(begin, tokenizer.token_to_id(begin))]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=begin,
        eos_token="<|eot_id|>",
        pad_token="<|end_of_text|>",
        chat_template=LLAMA_3_TEMPLATE,
    )


@cache
def qwen_tokenizer() -> Any:
    """As of Qwen2.5-Math, with a token to begin with, as Skywork gave it."""
    tokenizer = train_tokenizer(CORPUS * 30, vocab_size=400)
    tokenizer.chat_template = QWEN_TEMPLATE
    tokenizer.bos_token = tokenizer.pad_token
    return tokenizer


TOKENIZERS: dict[str, Callable[[], Any]] = {
    "qwen_prm": qwen_tokenizer,
    "math_shepherd": lambda: sentencepiece_tokenizer("</s>"),
    "rlhflow": llama_3_tokenizer,
    "skywork_o1": qwen_tokenizer,
    "reason_eval_7b": lambda: sentencepiece_tokenizer("<s>"),
    "reason_eval_34b": lambda: sentencepiece_tokenizer("<unk>", spaced=False),
    "qwen_reward": qwen_tokenizer,
    "skywork_reward": llama_3_tokenizer,
}
FAMILIES: dict[str, Any] = {
    "qwen_prm": TaggedHead(),
    "math_shepherd": MathShepherd(),
    "rlhflow": RLHFlow(),
    "skywork_o1": SkyworkO1(),
    "reason_eval_7b": ReasonEval(num_tokens_after_score=1),
    "reason_eval_34b": ReasonEval(),
    "qwen_reward": AnswerReward(),
    "skywork_reward": AnswerReward(),
}
_HEADS = {
    "qwen_prm": {"score.0": (64, 64), "score.2": (2, 64)},
    "skywork_o1": {"v_head.summary": (1, 64)},
    "reason_eval_7b": {"score_head": (3, 64)},
    "reason_eval_34b": {"score_head": (3, 64)},
    "qwen_reward": {"score.0": (64, 64), "score.2": (1, 64)},
    "skywork_reward": {"score": (1, 64)},
}
_ARCHITECTURES = {
    "qwen_prm": "Qwen2ForProcessRewardModel",
    "math_shepherd": "MistralForCausalLM",
    "rlhflow": "LlamaForCausalLM",
    "skywork_o1": "Qwen2ForPrmModel",
    "reason_eval_7b": "ReasonEval_7B",
    "reason_eval_34b": "ReasonEval_34B",
    "qwen_reward": "Qwen2ForRewardModel",
    "skywork_reward": "LlamaForSequenceClassification",
}


def language_model(name: str, vocab_size: int) -> Any:
    """A language model of the architecture that a checkpoint builds on."""
    if _ARCHITECTURES[name].startswith("Qwen2"):
        config = transformers.Qwen2Config(vocab_size=vocab_size, **SHAPE)
        return transformers.Qwen2ForCausalLM(config)
    if name in ("math_shepherd", "reason_eval_7b"):
        config = transformers.MistralConfig(vocab_size=vocab_size, sliding_window=None, **SHAPE)
        return transformers.MistralForCausalLM(config)
    rope = {"rope_type": "default", "rope_theta": 10000.0}
    if name in ("rlhflow", "skywork_reward"):
        rope = {
            "rope_type": "llama3",
            "rope_theta": 500000.0,
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        }
    config = transformers.LlamaConfig(vocab_size=vocab_size, rope_parameters=rope, **SHAPE)
    return transformers.LlamaForCausalLM(config)


def make_checkpoint(folder: Path, name: str) -> Prm:
    """Write the checkpoint of a name into a folder."""
    tokenizer = TOKENIZERS[name]()
    tokenizer.save_pretrained(folder)
    torch.manual_seed(len(name))
    language_model(name, len(tokenizer)).save_pretrained(folder)
    add_head(folder, name)
    return Prm(model=str(folder), family=FAMILIES[name], dtype="float32")


def add_head(folder: Path, name: str) -> None:
    """Put the head of a checkpoint beside its language model, as published ones have it."""
    config = json.loads((folder / "config.json").read_text())
    config["architectures"] = [_ARCHITECTURES[name]]
    weights = load_file(folder / "model.safetensors")
    for layer, shape in _HEADS.get(name, {}).items():
        weights[f"{layer}.weight"] = torch.randn(shape) / shape[1] ** 0.5
        if name != "skywork_reward":
            weights[f"{layer}.bias"] = torch.randn(shape[0]) / 10
    if name == "skywork_reward":
        config["num_labels"] = 1
        del weights["lm_head.weight"]
    if name.startswith("reason_eval"):
        config |= {"score_dimension": 3, "use_bias": True}
    (folder / "config.json").write_text(json.dumps(config))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
