"""Scored steps per second of the Transformers scorer: prefixes reused against recomputed.

    python -m benchmarks.transformers_scoring
    python -m benchmarks.transformers_scoring --num-beams 64 --depth 16

Scores what a beam search asks for: at each depth the next step of every beam. Beams fork, and
steps have 58 random tokens, as those of real models have on average (arXiv 2502.06703, Table 1).
The PRM has random weights and the shape of Qwen2.5-7B on a CUDA device, that of the sandbox's
models on a CPU. Both ways score the same trees, depth by depth in turns, so that whatever else the
machine does meets both alike.

* `steps_per_second.reuse`, `.recompute`: over all depths;
* `speedup`: of these, and `speedup_by_depth`;
* `tokens.reuse`, `.recompute`: that the PRM computed;
* `largest_difference`: between the scores of both.

Needs torch and transformers alone. The last line is a JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import Sequence

import torch
from torch import nn
from transformers import AutoModel, Qwen2Config

from actors.prompting import load_tokenizer
from actors.reward_model import RewardModel
from actors.transformers_options import TransformersOptions
from actors.transformers_scorer import TransformersScorer
from prm_search.prms.prm import Prm
from prm_search.resolvers import sandbox_model
from prm_search.tokens import Tokenizer
from prm_search.types import Failure, Problem, Step, StepScores, Trajectory

_WAYS: tuple[str, ...] = ("reuse", "recompute")
_WORDS = ("apples", "shells", "coins", "cards", "pens", "more", "fewer", "than", "gets", "has")


def small_config() -> Qwen2Config:
    """The shape of the sandbox's models, with a longer context."""
    return Qwen2Config(
        vocab_size=512,
        hidden_size=256,
        intermediate_size=640,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=8192,
    )


def large_config() -> Qwen2Config:
    """The shape of Qwen2.5-7B."""
    return Qwen2Config(
        vocab_size=152_064,
        hidden_size=3584,
        intermediate_size=18_944,
        num_hidden_layers=28,
        num_attention_heads=28,
        num_key_value_heads=4,
        max_position_embeddings=8192,
    )


class RandomScorer(TransformersScorer):
    """The scorer, with random weights in the place of a checkpoint's."""

    def __init__(self, config: Qwen2Config, device: torch.device, *, reuse_prefixes: bool) -> None:
        super().__init__(
            prm=Prm(model=sandbox_model("prm")),
            options=TransformersOptions(
                device=str(device), reuse_prefixes=reuse_prefixes, prefix_cache_gib=16.0
            ),
        )
        self._config, self._device = config, device

    def _load(self, tokenizer: Tokenizer) -> RewardModel:
        torch.manual_seed(0)
        dtype = torch.bfloat16 if self._device.type == "cuda" else torch.float32
        with self._device:
            backbone = AutoModel.from_config(self._config, dtype=dtype).eval()
            head = nn.Sequential(nn.Linear(self._config.hidden_size, 2))
        return RewardModel(backbone, head)


def draw_workload(
    tokenizer: Tokenizer, *, num_problems: int, num_beams: int, depth: int, seed: int = 0
) -> list[list[Trajectory]]:
    """The prefixes that a beam search scores; four beams at a time go on from the same one.

    Returns:
        [depth][num_problems × num_beams]
    """
    rng = random.Random(seed)

    def text(num_tokens: int) -> str:
        words: list[str] = []
        while len(tokenizer.encode(" ".join(words))) < num_tokens:
            words.append(rng.choice(_WORDS))
        return " ".join(words)

    beams = [
        [Trajectory(problem=Problem(id=str(number), prompt=text(200)))] * num_beams
        for number in range(num_problems)
    ]
    depths: list[list[Trajectory]] = []
    for _ in range(depth):
        for number, prefixes in enumerate(beams):
            kept = rng.sample(prefixes, max(1, num_beams // 4))
            beams[number] = [
                kept[index % len(kept)].extend(Step(text=text(57) + "\n\n", token_ids=()))
                for index in range(num_beams)
            ]
        depths.append([trajectory for prefixes in beams for trajectory in prefixes])
    return depths


async def measure(
    workload: Sequence[Sequence[Trajectory]], config: Qwen2Config, device: torch.device
) -> dict[str, object]:
    """Score the workload in both ways."""
    scorers = {way: RandomScorer(config, device, reuse_prefixes=way == "reuse") for way in _WAYS}
    for scorer in scorers.values():
        await scorer.start()
        await scorer.score(workload[-1][:1])  # the first forward takes longer
        await scorer.reset_cache()
    seconds: dict[str, list[float]] = {way: [] for way in _WAYS}
    tokens: dict[str, int] = dict.fromkeys(_WAYS, 0)
    largest = 0.0
    for number, trajectories in enumerate(workload, start=1):
        values: dict[str, Sequence[float]] = {}
        for way, scorer in scorers.items():
            started = time.perf_counter()
            scoring = await scorer.score(trajectories)
            seconds[way].append(time.perf_counter() - started)
            tokens[way] += scoring.usage.scored_tokens
            values[way] = [_last(scores) for scores in scoring.scores]
        pairs = zip(*values.values(), strict=True)
        largest = max(largest, *(abs(first - second) for first, second in pairs))
        fast, slow = (seconds[way][-1] for way in _WAYS)
        print(f"depth {number}: {slow / fast:.2f} times faster", file=sys.stderr)
    for scorer in scorers.values():
        await scorer.close()
    num_steps = sum(map(len, workload))
    rates = {way: num_steps / sum(seconds[way]) for way in _WAYS}
    return {
        **{f"steps_per_second.{way}": round(rate, 2) for way, rate in rates.items()},
        "speedup": round(rates["reuse"] / rates["recompute"], 3),
        "speedup_by_depth": [
            round(slow / fast, 3)
            for fast, slow in zip(seconds["reuse"], seconds["recompute"], strict=True)
        ],
        **{f"tokens.{way}": number for way, number in tokens.items()},
        "largest_difference": largest,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
    }


def _last(scores: StepScores | Failure) -> float:
    if isinstance(scores, Failure):
        raise RuntimeError(f"a prefix could not be scored: {scores.message}")
    return scores.values[-1]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--num-problems", type=int, default=4)
    parser.add_argument("--num-beams", type=int, default=16)
    parser.add_argument("--depth", type=int, default=8)
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    config = large_config() if device.type == "cuda" else small_config()
    workload = draw_workload(
        load_tokenizer(sandbox_model("prm")),
        num_problems=arguments.num_problems,
        num_beams=arguments.num_beams,
        depth=arguments.depth,
    )
    result = asyncio.run(measure(workload, config, device))
    result |= {
        "num_problems": arguments.num_problems,
        "num_beams": arguments.num_beams,
        "depth": arguments.depth,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
