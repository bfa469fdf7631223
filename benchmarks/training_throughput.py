"""Useful tokens per second of PRM training: packed against a plain padded loop.

    python -m benchmarks.training_throughput
    python -m benchmarks.training_throughput --batch-size 16 --num-steps 8

Both train the same model of the sandbox's size on the same rows, in the same dtype, with the same
optimizer and the same number of rows per update. The plain loop is what the documentation of
Transformers shows: rows in random order, padded to the longest of the batch, `model(**batch)` with
the model's default attention, loss at the labeled tags. Updates of both take turns, so that
whatever else the machine does meets both alike; what counts is the median.

On a CUDA device it also trains a model of the shape of Qwen2.5-1.5B with random weights, and gives
the share of the device's peak that its useful FLOPs are.

Needs torch and transformers alone. The last line is a JSON object.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from transformers import AutoTokenizer, Qwen2Config

import prm_search
from prm_search.prms.rendering import renderer_of
from prm_search.prms.tagged_head import TaggedHead
from prm_search.sandbox.problems import LEVELS, Split, draw_split_world
from prm_search.sandbox.solutions import write_solution
from prm_search.sandbox.wording import write_problem
from trainers.losses import summed_loss
from trainers.packed_attention import use_packed_attention
from trainers.packing import Example, make_pack
from trainers.prm_settings import Objective
from trainers.step_model import Qwen2ForProcessRewardModel, StepModel

IGNORE = -100
_TOKENIZER = Path(prm_search.__file__).parent / "sandbox" / "models" / "base"
_PEAK_FLOPS = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "B200": 2250e12}
"""Dense bf16, from NVIDIA's data sheets."""

Update = Callable[[Sequence[Example]], None]


def sandbox_config() -> Qwen2Config:
    """The shape of the sandbox's models."""
    return Qwen2Config(
        vocab_size=512,
        hidden_size=256,
        intermediate_size=640,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=1024,
    )


def large_config() -> Qwen2Config:
    """The shape of Qwen2.5-1.5B."""
    return Qwen2Config(
        vocab_size=151_936,
        hidden_size=1536,
        intermediate_size=8960,
        num_hidden_layers=28,
        num_attention_heads=12,
        num_key_value_heads=2,
        max_position_embeddings=4096,
    )


def draw_rows(num_rows: int, *, seed: int = 0, num_repeats: int = 1) -> list[Example]:
    """Solutions of the sandbox at all levels, with a label at each step.

    Args:
        num_rows: how many.
        seed: decides them.
        num_repeats: longer rows are made of several copies of the same tokens.
    """
    rng = random.Random(seed)
    tokenizer = AutoTokenizer.from_pretrained(_TOKENIZER)
    render = renderer_of(TaggedHead(), tokenizer)
    rows: list[Example] = []
    for number in range(num_rows):
        world = draw_split_world(rng, LEVELS[number % len(LEVELS)], Split.train)
        (solution,) = render(write_problem(world), list(write_solution(world, rng)))
        rows.append(
            Example(
                token_ids=solution.token_ids * num_repeats,
                positions=solution.positions,
                values=tuple(float(rng.random() < 0.8) for _ in solution.positions),
            )
        )
    return rows


def packed_update(config: Qwen2Config, device: torch.device) -> Update:
    """One update of a PRM as `prm-search train-prm` computes it."""
    model = _model(config, device)
    use_packed_attention(model)
    step_model = StepModel(model, None)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def update(rows: Sequence[Example]) -> None:
        pack = make_pack(rows).to(device)
        with torch.autocast(device.type, torch.bfloat16):
            logits = step_model.score(pack)
        loss = summed_loss(logits, pack.values, Objective()) / len(pack.values)
        _step(loss, optimizer)

    return update


def padded_update(config: Qwen2Config, device: torch.device) -> Update:
    """One update of the same PRM in a plain loop."""
    model = _model(config, device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def update(rows: Sequence[Example]) -> None:
        batch = {name: part.to(device) for name, part in _padded(rows).items()}
        with torch.autocast(device.type, torch.bfloat16):
            logits = model(**{k: batch[k] for k in ("input_ids", "attention_mask")}).logits
        loss = nn.functional.cross_entropy(
            logits.float().flatten(0, 1), batch["labels"].flatten(), ignore_index=IGNORE
        )
        _step(loss, optimizer)

    return update


def measure(
    updates: dict[str, Update],
    rows: Sequence[Example],
    *,
    batch_size: int,
    num_steps: int,
    device: torch.device,
) -> dict[str, float]:
    """Useful tokens per second: the median over updates that take turns, after one of each."""
    rng = random.Random(0)
    rates: dict[str, list[float]] = {name: [] for name in updates}
    for step in range(num_steps + 1):
        batch = rng.sample(list(rows), batch_size)
        num_tokens = sum(len(row.token_ids) for row in batch)
        for name, update in updates.items():
            _wait(device)
            started = time.perf_counter()
            update(batch)
            _wait(device)
            if step:
                rates[name].append(num_tokens / (time.perf_counter() - started))
        print(f"update {step} of {num_steps}", file=sys.stderr, flush=True)
    return {name: statistics.median(values) for name, values in rates.items()}


def measure_large(
    device: torch.device, *, tokens_per_step: int, num_steps: int
) -> dict[str, float]:
    """Rate, peak memory and FLOPs utilisation of a model of 1.5 billion parameters."""
    config = large_config()
    torch.cuda.reset_peak_memory_stats(device)
    rows = draw_rows(400, num_repeats=2)
    num_rows = max(1, int(tokens_per_step * len(rows) / sum(len(r.token_ids) for r in rows)))
    found = measure(
        {"packed": packed_update(config, device)},
        rows,
        batch_size=min(num_rows, len(rows)),
        num_steps=num_steps,
        device=device,
    )
    mean_length = sum(len(row.token_ids) ** 2 for row in rows) / sum(
        len(row.token_ids) for row in rows
    )
    name = torch.cuda.get_device_name(device)
    peak = next((flops for part, flops in _PEAK_FLOPS.items() if part in name), None)
    used = found["packed"] * flops_per_token(config, mean_length)
    return {
        "large_tokens_per_second": round(found["packed"], 1),
        "peak_gib": round(torch.cuda.max_memory_allocated(device) / 2**30, 2),
        "model_tflops": round(used / 1e12, 1),
        **({"mfu": round(used / peak, 4)} if peak else {}),
    }


def flops_per_token(config: Qwen2Config, mean_length: float) -> float:
    """FLOPs of forward and backward: 6 per weight of a matrix, and what attention adds.

    Embeddings are looked up and count nothing; what is computed twice to save memory would not
    count either. Source: arXiv 2204.02311, appendix B; half of it for causal attention.

    Args:
        mean_length: tokens that a token's row has, on average over tokens.
    """
    hidden, layers = config.hidden_size, config.num_hidden_layers
    head_size = hidden // config.num_attention_heads
    keys_and_values = (
        2 * hidden * (config.num_key_value_heads or config.num_attention_heads) * head_size
    )
    matrices = layers * (2 * hidden**2 + keys_and_values + 3 * hidden * config.intermediate_size)
    return 6 * matrices + 6 * layers * hidden * mean_length


def _model(config: Qwen2Config, device: torch.device) -> Qwen2ForProcessRewardModel:
    torch.manual_seed(0)
    model = Qwen2ForProcessRewardModel(copy.deepcopy(config))
    return cast("Qwen2ForProcessRewardModel", nn.Module.to(model, device)).train()


def _padded(rows: Sequence[Example]) -> dict[str, Tensor]:
    longest = max(len(row.token_ids) for row in rows)
    ids, mask = (torch.zeros(len(rows), longest, dtype=torch.long) for _ in range(2))
    labels = torch.full((len(rows), longest), IGNORE)
    for index, row in enumerate(rows):
        ids[index, : len(row.token_ids)] = torch.tensor(row.token_ids)
        mask[index, : len(row.token_ids)] = 1
        labels[index, list(row.positions)] = torch.tensor(row.values).long()
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def _step(loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
    loss.backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch-size", type=int, default=32, help="rows per update")
    parser.add_argument("--num-steps", type=int, default=12, help="updates that are measured")
    parser.add_argument("--large-tokens", type=int, default=16_384, help="per update, on CUDA")
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    config = sandbox_config()
    rows = draw_rows(1000)
    found = measure(
        {"packed": packed_update(config, device), "padded": padded_update(config, device)},
        rows,
        batch_size=arguments.batch_size,
        num_steps=arguments.num_steps,
        device=device,
    )
    result: dict[str, object] = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "num_threads": torch.get_num_threads(),
        "batch_size": arguments.batch_size,
        "mean_tokens": round(sum(len(row.token_ids) for row in rows) / len(rows), 1),
        "packed_tokens_per_second": round(found["packed"], 1),
        "padded_tokens_per_second": round(found["padded"], 1),
        "speedup": round(found["packed"] / found["padded"], 3),
    }
    if device.type == "cuda":
        result |= measure_large(
            device, tokens_per_step=arguments.large_tokens, num_steps=arguments.num_steps
        )
    print(json.dumps(result))


if __name__ == "__main__":
    main()
