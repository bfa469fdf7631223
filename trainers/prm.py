"""Train a PRM with a two-class head at the step tag.

    python -m trainers.prm --start models/base --data labels.jsonl --dev dev.jsonl --out models/prm

Rows are TRL stepwise rows: {"prompt": str, "completions": [step], "labels": [bool]}. Each step is
followed by the step tag; cross-entropy at the tags up to and including the first wrong step
(arXiv 2501.07301, section 2: what comes after the first error is not labeled). The checkpoint
has exactly the layout that stock vLLM serves as `Qwen2ForProcessRewardModel`.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoTokenizer, Qwen2Config, Qwen2ForTokenClassification
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from prm_search.data.stepwise import StepwiseRow, read_stepwise
from prm_search.evaluation.first_error import (
    FirstErrorScore,
    predicted_first_error,
    score_first_errors,
)
from prm_search.prms.rendering import render
from prm_search.prms.tagged_head import TaggedHead
from prm_search.seeds import derive_seed
from prm_search.types import StepScores
from trainers.language_model import IGNORE, Batch, OptimizerSettings, train

ARCHITECTURE = "Qwen2ForProcessRewardModel"


class ProcessRewardModel(Qwen2ForTokenClassification):
    """Qwen2 with the head Linear, ReLU, Linear to two classes (wrong, right) at every token."""

    def __init__(self, config: Qwen2Config) -> None:
        config.num_labels = 2
        config.tie_word_embeddings = False
        super().__init__(config)
        head = nn.Sequential(
            nn.Linear(config.hidden_size, config.hidden_size),
            nn.ReLU(),
            nn.Linear(config.hidden_size, 2),
        )
        self.register_module("score", head)


def load_backbone(folder: Path) -> ProcessRewardModel:
    """A process reward model with the backbone of a causal language model and a new head."""
    model = ProcessRewardModel(Qwen2Config.from_pretrained(folder, attn_implementation="eager"))
    weights = load_file(folder / "model.safetensors")
    backbone = {name: value for name, value in weights.items() if name.startswith("model.")}
    missing, unexpected = model.load_state_dict(backbone, strict=False)
    unfilled = [name for name in missing if not name.startswith("score.")]
    if unfilled or unexpected:
        raise ValueError(f"{folder} is no Qwen2 model: missing {unfilled}, unknown {unexpected}")
    return model.float()


def load_prm(folder: Path) -> ProcessRewardModel:
    """A trained process reward model, in float32."""
    model = ProcessRewardModel(Qwen2Config.from_pretrained(folder, attn_implementation="eager"))
    model.load_state_dict(load_file(folder / "model.safetensors"))
    return model.float().eval()


def save_prm(model: ProcessRewardModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write a checkpoint that stock vLLM serves: bf16 safetensors, two labels, a step tag."""
    rounded = copy.deepcopy(model)
    nn.Module.to(rounded, torch.bfloat16)
    rounded.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config["architectures"] = [ARCHITECTURE]
    path.write_text(json.dumps(config, indent=2) + "\n")


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """A tokenised solution."""

    token_ids: tuple[int, ...]
    tags: tuple[int, ...]
    """Positions of the step tags. [num_steps]"""
    row: StepwiseRow

    @property
    def targets(self) -> list[tuple[int, int]]:
        """(position, class) of each tag up to and including the first wrong step."""
        error = self.row.first_error
        labeled = self.tags if error is None else self.tags[: error + 1]
        return [(tag, int(index != error)) for index, tag in enumerate(labeled)]


def encode(row: StepwiseRow, tokenizer: PreTrainedTokenizerBase, family: TaggedHead) -> Example:
    """Tokenise a solution as the PRM family is served."""
    solution = render(
        family.question(tokenizer, row.prompt, None),
        [family.step(tokenizer, step) for step in row.completions],
    )
    return Example(token_ids=solution.token_ids, tags=solution.positions, row=row)


def make_batch(examples: Sequence[Example], pad_id: int, device: torch.device) -> Batch:
    """Token ids [batch, length], and classes at the labeled tags (IGNORE elsewhere)."""
    longest = max(len(example.token_ids) for example in examples)
    tokens = torch.full((len(examples), longest), pad_id)
    labels = torch.full((len(examples), longest), IGNORE)
    for index, example in enumerate(examples):
        tokens[index, : len(example.token_ids)] = torch.tensor(example.token_ids)
        for position, label in example.targets:
            labels[index, position] = label
    return tokens.to(device), labels.to(device)


def step_loss(model: ProcessRewardModel, batch: Batch) -> Tensor:
    """Mean cross-entropy at the labeled tags."""
    tokens, labels = batch
    hidden = model.model(tokens).last_hidden_state
    counted = labels != IGNORE
    logits = model.score(hidden[counted])
    return nn.functional.cross_entropy(logits.float(), labels[counted])


def batches(
    examples: Sequence[Example], tokens_per_step: int, seed: int, pad_id: int, device: torch.device
) -> Callable[[int], Batch]:
    """A function that gives the next batch.

    Each epoch shuffles anew; examples of like length stand together, so that little is padded.
    """

    def epoch(number: int) -> list[list[Example]]:
        rng = random.Random(derive_seed(seed, "epoch", number))
        order = sorted(examples, key=lambda item: len(item.token_ids) + rng.uniform(0, 16))
        groups: list[list[Example]] = [[]]
        for item in order:
            if groups[-1] and len(item.token_ids) * (len(groups[-1]) + 1) > tokens_per_step:
                groups.append([])
            groups[-1].append(item)
        rng.shuffle(groups)
        return groups

    def stream() -> Iterator[list[Example]]:
        for number in itertools.count():
            yield from epoch(number)

    groups = stream()

    def batch(_: int) -> Batch:
        return make_batch(next(groups), pad_id, device)

    return batch


@torch.no_grad()
def evaluate(
    model: ProcessRewardModel, examples: Sequence[Example], pad_id: int
) -> FirstErrorScore:
    """First-error accuracy and F1 at threshold 0.5, over whole solutions."""
    device = next(model.parameters()).device
    predictions: list[int | None] = []
    order = sorted(range(len(examples)), key=lambda index: len(examples[index].token_ids))
    for start in range(0, len(order), 64):
        part = [examples[index] for index in order[start : start + 64]]
        tokens, _ = make_batch(part, pad_id, device)
        right = model.score(model.model(tokens).last_hidden_state).softmax(-1)[..., 1]
        for row, example in enumerate(part):
            values = tuple(right[row, list(example.tags)].tolist())
            predictions.append(predicted_first_error(StepScores(values=values)))
    return score_first_errors(predictions, [examples[index].row.first_error for index in order])


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--start", type=Path, required=True, help="folder of a causal model")
    parser.add_argument("--data", type=Path, required=True, help="labeled solutions (JSON lines)")
    parser.add_argument("--dev", type=Path, help="held-out labeled solutions, for F1 at the end")
    parser.add_argument("--out", type=Path, required=True, help="folder to write the PRM to")
    parser.add_argument("--num-steps", type=int, default=1000)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--tokens-per-step", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(derive_seed(arguments.seed, "weights"))
    tokenizer = AutoTokenizer.from_pretrained(arguments.start)
    family = TaggedHead()
    device = torch.device(arguments.device)
    examples = _read(arguments.data, tokenizer, family)
    held_out = _read(arguments.dev, tokenizer, family) if arguments.dev else []
    model = load_backbone(arguments.start)
    nn.Module.to(model, device)
    next_batch = batches(
        examples, arguments.tokens_per_step, arguments.seed, tokenizer.pad_token_id, device
    )
    train(
        model,
        loss_of=lambda step: step_loss(model, next_batch(step)),
        settings=OptimizerSettings(
            num_steps=arguments.num_steps, learning_rate=arguments.learning_rate
        ),
        description="prm",
    )
    if held_out:
        score = evaluate(model, held_out, tokenizer.pad_token_id)
        print(
            f"held-out: F1 {score.f1:.3f}, error accuracy {score.error_accuracy:.3f} "
            f"(n={score.num_errors}), correct accuracy {score.correct_accuracy:.3f} "
            f"(n={score.num_correct})"
        )
    save_prm(model, tokenizer, arguments.out)
    print(f"written to {arguments.out}")


def _read(path: Path, tokenizer: PreTrainedTokenizerBase, family: TaggedHead) -> list[Example]:
    rows, set_aside = read_stepwise(path)
    for reason in set_aside:
        print(f"set aside: {reason}")
    return [encode(row, tokenizer, family) for row in rows]


if __name__ == "__main__":
    main()
