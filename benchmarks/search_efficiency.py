"""What guided search costs, beside what it cannot cost less than, and what it gains.

    python -m benchmarks.search_efficiency            200 problems, 3 seeds
    python -m benchmarks.search_efficiency --quick    100 problems, 1 seed, within 6 minutes

On the same engines, in one run, at N=16:

* accuracy of weighted best-of-N and beam search against majority vote over at least as many
  policy tokens on every single problem;
* PRM tokens that beam search computed, over the bound (each question once, each new step once,
  half a block of the key-value cache per scored step), and over recomputing every prefix;
* wall time of beam search over that of one plain batch generation of as many tokens and one
  plain scoring pass over the same new tokens.

The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from transformers import AutoTokenizer

from benchmarks.job import (
    Bench,
    Record,
    compose_job,
    console,
    engines,
    prm_of,
    timed_run,
)
from prm_search.prms.family import PrmFamily
from prm_search.prms.prm import Prm
from prm_search.protocols import Until
from prm_search.search import BeamSearch, BestOfN
from prm_search.seeds import derive_seed
from prm_search.statistics import accuracy, paired_difference
from prm_search.tree import SearchTree
from prm_search.types import Problem, Trajectory
from prm_search.voting import Selection

BLOCK_SIZE = 32
"""Tokens in a block of vLLM's key-value cache on CPU."""

NUM_SAMPLES = 16
MAJORITY_POOL = 32
"""Samples to draw majority votes from, so that each can have as many tokens as the search."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoredTokens:
    """PRM tokens of beam search."""

    new: int
    """Of the questions, each once, and of the different steps."""
    num_steps: int
    """Different steps that were scored."""
    computed: int
    recomputed: int
    """What computing the whole prefix of each request would have been."""

    @property
    def bound(self) -> float:
        """New tokens and half a block per scored step."""
        return self.new + self.num_steps * BLOCK_SIZE / 2


def majority_at_tokens(record: Record, num_tokens: int) -> tuple[bool, int]:
    """Majority vote over the fewest samples that have at least so many tokens together.

    Returns:
        Whether its answer is right, and how many tokens it took.
    """
    spent, votes, right = 0, Counter[str](), set[str]()
    for candidate in record["candidates"]:
        spent += candidate["num_tokens"]
        if candidate["answer"] is not None:
            votes[candidate["answer"]] += 1
            if candidate["is_correct"]:
                right.add(candidate["answer"])
        if spent >= num_tokens:
            break
    return bool(votes) and votes.most_common(1)[0][0] in right, spent


def scored_tokens(records: Sequence[Record], prm: Prm) -> ScoredTokens:
    """Count what beam search had the PRM score, from the search trees."""
    tokenizer, family = AutoTokenizer.from_pretrained(prm.model), prm.family
    assert isinstance(family, PrmFamily)
    new = num_steps = 0
    for record in records:
        new += len(family.question(tokenizer, record["prompt"], prm.system_prompt))
        tree = SearchTree.from_json(record["tree"])
        seen: set[tuple[str, ...]] = set()
        for node in tree.nodes[1:]:
            path = tuple(item.text for item in tree.path_to(node)[1:])
            if node.score is not None and path not in seen:
                seen.add(path)
                num_steps += 1
                new += len(family.step(tokenizer, node.text, is_first=len(path) == 1))
    usages = [record["usage"]["prm"] for record in records]
    return ScoredTokens(
        new=new,
        num_steps=num_steps,
        computed=sum(usage["scored_tokens"] for usage in usages),
        recomputed=sum(usage["prompt_tokens"] for usage in usages),
    )


async def plain_rates(bench: Bench, problems: Sequence[Problem]) -> tuple[float, float]:
    """Tokens per second of plain batch generation, and of plain scoring of whole solutions.

    All requests are handed over at once, and nothing depends on anything.
    """
    started = time.perf_counter()
    generations = await asyncio.gather(
        *(
            bench.generator.generate(
                Trajectory(problem=problem),
                num_samples=NUM_SAMPLES,
                until=Until.END,
                seed=derive_seed(0, problem.id),
            )
            for problem in problems
        )
    )
    generated = sum(generation.usage.generated_tokens for generation in generations)
    generation_rate = generated / (time.perf_counter() - started)
    solutions = [
        Trajectory(problem=problem).extend(*steps)
        for problem, generation in zip(problems, generations, strict=True)
        for steps in generation.continuations
    ]
    started = time.perf_counter()
    scorings = await asyncio.gather(*(bench.scorer.score([item]) for item in solutions))
    scored = sum(scoring.usage.scored_tokens for scoring in scorings)
    return generation_rate, scored / (time.perf_counter() - started)


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """A method against majority vote with at least as many policy tokens on every problem."""

    method: dict[tuple[str, int], bool]
    """(problem id, seed) -> whether its answer is right."""
    majority: dict[tuple[str, int], bool]
    method_tokens: int
    majority_tokens: int


def compare(runs: Sequence[tuple[int, Sequence[Record], Sequence[Record]]]) -> Comparison:
    """Compare (seed, records of the method, records of the majority pool) of all seeds."""
    method: dict[tuple[str, int], bool] = {}
    majority: dict[tuple[str, int], bool] = {}
    method_tokens = majority_tokens = 0
    for seed, records, pools in runs:
        for record, pool in zip(records, pools, strict=True):
            key = (record["problem"], seed)
            used = record["usage"]["policy"]["generated_tokens"]
            method[key] = bool(record["is_correct"])
            majority[key], spent = majority_at_tokens(pool, used)
            method_tokens += used
            majority_tokens += spent
    return Comparison(
        method=method,
        majority=majority,
        method_tokens=method_tokens,
        majority_tokens=majority_tokens,
    )


async def measure(num_problems: int, num_seeds: int, overrides: Sequence[str]) -> dict[str, Any]:
    """Run everything on one pair of engines."""
    size = f"data.num_problems={num_problems}"
    job = compose_job(size, *overrides)
    problems = job.data.load().problems
    others = compose_job(size, "data.seed=1000", *overrides).data.load().problems
    methods = {
        "majority": BestOfN(num_samples=MAJORITY_POOL, selection=Selection.majority),
        "beam": BeamSearch(num_beams=NUM_SAMPLES),
        "weighted_best_of_n": BestOfN(num_samples=NUM_SAMPLES, selection=Selection.weighted),
    }
    runs: dict[str, list[list[Record]]] = {name: [] for name in methods}
    beam_seconds = 0.0
    async with engines(job) as bench:
        generation_rate, scoring_rate = await plain_rates(bench, others)
        for seed in range(num_seeds):
            for name, algorithm in methods.items():
                records, seconds = await timed_run(bench, problems, algorithm, name, seed)
                runs[name].append(records)
                beam_seconds += seconds if name == "beam" else 0.0
    beams = [record for records in runs["beam"] for record in records]
    counted = scored_tokens(beams, prm_of(job))
    generated = sum(record["usage"]["policy"]["generated_tokens"] for record in beams)
    plain_seconds = generated / generation_rate + counted.new / scoring_rate
    result: dict[str, Any] = {}
    for name in ("weighted_best_of_n", "beam"):
        compared = compare(list(zip(range(num_seeds), runs[name], runs["majority"], strict=True)))
        difference = paired_difference(compared.method, compared.majority)
        result |= {
            f"{name}.accuracy": accuracy(compared.method).value,
            f"{name}.minus_majority": difference.value,
            f"{name}.minus_majority_ci": [round(bound, 4) for bound in difference.interval],
            f"{name}.policy_tokens": compared.method_tokens,
            f"{name}.majority_tokens": compared.majority_tokens,
            f"{name}.majority_accuracy": accuracy(compared.majority).value,
        }
    result |= {
        # The first samples are the same for every N, so these are as many as the others draw.
        "majority.accuracy": result["weighted_best_of_n.majority_accuracy"],
        "beam.prm_tokens_over_limit": counted.computed / counted.bound,
        "beam.prm_tokens_over_recompute": counted.computed / counted.recomputed,
        "beam.prm_tokens_computed": counted.computed,
        "beam.seconds": beam_seconds,
        "beam.wall_ratio": beam_seconds / plain_seconds,
        "plain.seconds": plain_seconds,
        "plain.generated_tokens_per_second": generation_rate,
        "plain.scored_tokens_per_second": scoring_rate,
        "num_samples": NUM_SAMPLES,
        "num_problems": len(problems),
        "num_seeds": num_seeds,
    }
    return {
        key: round(value, 4) if isinstance(value, float) else value for key, value in result.items()
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer problems, one seed")
    parser.add_argument("--num-problems", type=int)
    parser.add_argument("--num-seeds", type=int)
    parser.add_argument("overrides", nargs="*", help="settings, as for prm-search search")
    arguments = parser.parse_args()
    num_problems = arguments.num_problems or (100 if arguments.quick else 200)
    num_seeds = arguments.num_seeds or (1 if arguments.quick else 3)
    result = asyncio.run(measure(num_problems, num_seeds, arguments.overrides))
    for key, value in result.items():
        console.print(f"{key:<40} {value}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
