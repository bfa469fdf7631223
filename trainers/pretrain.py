"""Train the sandbox's language models: the base, the policy and the judge.

    python -m trainers.pretrain --role base   --out models/base
    python -m trainers.pretrain --role policy --out models/policy --start models/base
    python -m trainers.pretrain --role judge  --out models/judge  --start models/base

The base sees right solutions only. The policy is the base trained further on flawed ones:
misread trap wordings and random slips. The judge is the base trained further on critiques.
"""

from __future__ import annotations

import argparse
import copy
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from transformers import AutoTokenizer, GenerationConfig, Qwen2Config, Qwen2ForCausalLM
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from prm_search.judging.sandbox import render
from prm_search.sandbox.critiques import write_critique
from prm_search.sandbox.problems import Split, draw_split_world
from prm_search.sandbox.solutions import RIGHT, Flaws, write_solution
from prm_search.sandbox.wording import STEP_SEPARATOR, write_problem
from prm_search.seeds import derive_seed
from prm_search.tokens import question_tokens, text_tokens
from trainers.language_model import Batch, OptimizerSettings, pad, response_loss, train
from trainers.tokenizer import END, PAD, train_tokenizer

POLICY_FLAWS = Flaws(misconception_share=0.58, slip_probability=0.015)
JUDGED_FLAWS = Flaws(misconception_share=0.5, slip_probability=0.06)
"""The judge must see many errors of each kind to learn what to look for."""

_TYPICAL_LENGTH = {1: 122, 2: 190, 3: 257, 4: 326, 5: 409}
"""Level -> tokens of a problem with its solution; batches hold equal numbers of tokens."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """What a role is trained on and for how long."""

    example: Callable[[random.Random, int], tuple[str, str]]
    """Draws (user message, response) of a level."""
    optimizer: OptimizerSettings
    tokens_per_step: int = 8_000
    curriculum: Sequence[tuple[int, tuple[int, ...]]] = ((0, (1, 2, 3, 4, 5)),)
    """From this step on, batches are drawn from these levels (each batch from one)."""
    length_factor: float = 1.0
    """Length of an example relative to a plain solution."""

    def levels(self, step: int) -> tuple[int, ...]:
        """Levels that a 1-based step draws from."""
        return next(levels for start, levels in reversed(self.curriculum) if step > start)


def _solution(flaws: Flaws) -> Callable[[random.Random, int], tuple[str, str]]:
    def example(rng: random.Random, level: int) -> tuple[str, str]:
        world = draw_split_world(rng, level, Split.train)
        return write_problem(world), STEP_SEPARATOR.join(write_solution(world, rng, flaws))

    return example


def _critique(rng: random.Random, level: int) -> tuple[str, str]:
    world = draw_split_world(rng, level, Split.train)
    prompt, steps = write_problem(world), write_solution(world, rng, JUDGED_FLAWS)
    return render(prompt, steps), write_critique(prompt, steps)


RECIPES = {
    "base": Recipe(
        example=_solution(RIGHT),
        optimizer=OptimizerSettings(num_steps=1200),
        curriculum=((0, (1, 2)), (150, (1, 2, 3)), (300, (1, 2, 3, 4, 5, 5))),
    ),
    "policy": Recipe(
        example=_solution(POLICY_FLAWS),
        optimizer=OptimizerSettings(num_steps=300, learning_rate=1e-3),
    ),
    "judge": Recipe(
        example=_critique,
        optimizer=OptimizerSettings(num_steps=1500, learning_rate=2e-3),
        length_factor=1.6,
    ),
}


def new_model(vocab_size: int) -> Qwen2ForCausalLM:
    """A Qwen2 of about 3 million parameters with random weights."""
    config = Qwen2Config(
        vocab_size=vocab_size,
        hidden_size=256,
        intermediate_size=640,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        initializer_range=0.05,
    )
    model = Qwen2ForCausalLM(config)
    model.set_attn_implementation("eager")  # the fastest on CPU at this size
    return model


def new_tokenizer(seed: int) -> PreTrainedTokenizerBase:
    """The sandbox tokenizer, trained on problems, solutions and critiques."""
    rng = random.Random(derive_seed(seed, "tokenizer"))
    corpus = [
        text
        for index in range(4000)
        for text in RECIPES["judge" if index % 4 == 0 else "base"].example(rng, 1 + index % 5)
    ]
    return train_tokenizer(corpus, vocab_size=500)


def batches(
    recipe: Recipe, tokenizer: PreTrainedTokenizerBase, seed: int, device: torch.device
) -> Callable[[int], Batch]:
    """A function from 1-based step to batch; the same step always gives the same batch."""
    end_id = tokenizer.convert_tokens_to_ids(END)
    assert isinstance(end_id, int) and isinstance(tokenizer.pad_token_id, int)
    pad_id = tokenizer.pad_token_id

    def batch(step: int) -> Batch:
        rng = random.Random(derive_seed(seed, "batch", step))
        level = rng.choice(recipe.levels(step))
        length = _TYPICAL_LENGTH[level] * recipe.length_factor
        examples = [
            recipe.example(rng, level) for _ in range(max(1, int(recipe.tokens_per_step / length)))
        ]
        rows: list[tuple[list[int], int]] = []
        for user, response in examples:
            prompt = question_tokens(tokenizer, user, system_prompt=None)
            rows.append(([*prompt, *text_tokens(tokenizer, response), end_id], len(prompt)))
        return pad(rows, pad_id, device)

    return batch


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--role", choices=sorted(RECIPES), required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder to write the model to")
    parser.add_argument("--start", type=Path, help="folder of the model to start from")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args()
    recipe = RECIPES[arguments.role]
    device = torch.device(arguments.device)
    torch.manual_seed(derive_seed(arguments.seed, "weights"))
    if arguments.start is None:
        tokenizer = new_tokenizer(arguments.seed)
        model = new_model(round_up(len(tokenizer)))
    else:
        tokenizer = AutoTokenizer.from_pretrained(arguments.start)
        model = Qwen2ForCausalLM.from_pretrained(
            arguments.start, dtype=torch.float32, attn_implementation="eager"
        )
    nn.Module.to(model, device)
    next_batch = batches(recipe, tokenizer, arguments.seed, device)
    arguments.out.mkdir(parents=True, exist_ok=True)
    train(
        model,
        loss_of=lambda step: response_loss(model, next_batch(step)),
        settings=recipe.optimizer,
        description=arguments.role,
    )
    save(model, tokenizer, arguments.out)
    print(f"written to {arguments.out}")


def round_up(size: int, of: int = 64) -> int:
    """The smallest multiple of `of` that is at least `size`."""
    return -(-size // of) * of


def save(model: Qwen2ForCausalLM, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write a checkpoint that stock Transformers and vLLM load: bf16 safetensors."""
    end_id, pad_id = (tokenizer.convert_tokens_to_ids(token) for token in (END, PAD))
    assert isinstance(end_id, int) and isinstance(pad_id, int)
    model.config.eos_token_id, model.config.pad_token_id = end_id, pad_id
    model.config.bos_token_id = None
    model.generation_config = GenerationConfig.from_model_config(model.config)
    rounded = copy.deepcopy(model)
    nn.Module.to(rounded, torch.bfloat16)
    rounded.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    main()
