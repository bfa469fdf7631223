"""The arithmetic behind the figures of `benchmarks.search_efficiency`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from transformers import AutoTokenizer

from benchmarks.job import Record
from prm_search.prms.family import PrmFamily
from prm_search.prms.prm import Prm
from prm_search.statistics import accuracy, paired_difference
from prm_search.tree import SearchTree

BLOCK_SIZE = 32
"""Tokens in a block of vLLM's key-value cache on CPU."""

SLACK = 1.05
"""How far above the bound the limit is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoredTokens:
    """PRM tokens of a search."""

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

    @property
    def limit(self) -> float:
        """What may be computed at most."""
        return SLACK * self.bound


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """A method against majority vote with at least as many policy tokens on every problem."""

    method: dict[tuple[str, int], bool]
    """(problem id, seed) -> whether its answer is right."""
    majority: dict[tuple[str, int], bool]
    method_tokens: int
    majority_tokens: int
    num_short: int
    """Problems, counted once for each seed, on which all samples together had fewer tokens."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Clocks:
    """How long all seeds of a method took, in seconds."""

    wall: float
    controller: float
    """Time that the process of the controller computed, pickling of requests included."""
    ray: float
    """Time that Ray's own processes computed: its scheduler and its control store."""
    policy_idle: float
    prm_idle: float

    def __add__(self, other: Clocks) -> Clocks:
        return Clocks(
            wall=self.wall + other.wall,
            controller=self.controller + other.controller,
            ray=self.ray + other.ray,
            policy_idle=self.policy_idle + other.policy_idle,
            prm_idle=self.prm_idle + other.prm_idle,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class PlainRates:
    """Tokens per second of batches in which nothing depends on anything."""

    generation: float
    scoring: float

    def seconds(self, *, generated: int, scored: int) -> float:
        """Of one plain batch generation of so many tokens and one plain scoring of so many."""
        return generated / self.generation + scored / self.scoring


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


def compare(runs: Sequence[tuple[int, Sequence[Record], Sequence[Record]]]) -> Comparison:
    """Compare (seed, records of the method, records of the majority pool) of all seeds."""
    method: dict[tuple[str, int], bool] = {}
    majority: dict[tuple[str, int], bool] = {}
    method_tokens = majority_tokens = num_short = 0
    for seed, records, pools in runs:
        for record, pool in zip(records, pools, strict=True):
            key = (record["problem"], seed)
            used = generated_tokens([record])
            method[key] = bool(record["is_correct"])
            majority[key], spent = majority_at_tokens(pool, used)
            method_tokens += used
            majority_tokens += spent
            num_short += spent < used
    return Comparison(
        method=method,
        majority=majority,
        method_tokens=method_tokens,
        majority_tokens=majority_tokens,
        num_short=num_short,
    )


def comparison_figures(compared: Comparison) -> dict[str, Any]:
    """What a comparison says."""
    difference = paired_difference(compared.method, compared.majority)
    own = accuracy(compared.method)
    return {
        "accuracy": own.value,
        "accuracy_ci": [round(bound, 4) for bound in own.interval],
        "minus_majority": difference.value,
        "minus_majority_ci": [round(bound, 4) for bound in difference.interval],
        "policy_tokens": compared.method_tokens,
        "majority_tokens": compared.majority_tokens,
        "majority_short_share": compared.num_short / len(compared.method),
        "majority_accuracy": accuracy(compared.majority).value,
    }


def generated_tokens(records: Sequence[Record]) -> int:
    """Policy tokens of all records."""
    return sum(record["usage"]["policy"]["generated_tokens"] for record in records)


def scored_tokens(records: Sequence[Record], prm: Prm) -> ScoredTokens:
    """Count what a search had the PRM score, from the search trees.

    Those that only looked ahead are in the trees as well.
    """
    tokenizer, family = AutoTokenizer.from_pretrained(prm.model), prm.family
    assert isinstance(family, PrmFamily)
    new = num_steps = 0
    for record in records:
        new += len(family.question(tokenizer, record["prompt"], prm.system_prompt))
        tree = SearchTree.from_json(record["tree"])
        texts: list[tuple[str, ...]] = []
        seen: set[tuple[str, ...]] = set()
        for node in tree.nodes:
            path = () if node.parent is None else (*texts[node.parent], node.text)
            texts.append(path)
            is_step = bool(node.text.strip()) and node.score is not None
            if is_step and path not in seen:
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


def token_figures(counted: ScoredTokens) -> dict[str, Any]:
    """What the PRM computed, and beside what it had to."""
    return {
        "prm_tokens_computed": counted.computed,
        "prm_tokens_cached": counted.recomputed - counted.computed,
        "prm_tokens_over_bound": counted.computed / counted.bound,
        "prm_tokens_over_limit": counted.computed / counted.limit,
        "prm_tokens_over_recompute": counted.computed / counted.recomputed,
    }


def clock_figures(
    clocks: Clocks, rates: PlainRates, *, generated: int, scored: int, has_prm: bool
) -> dict[str, Any]:
    """How long it took, beside how long the engines need for as many tokens."""
    plain_seconds = rates.seconds(generated=generated, scored=scored)
    figures = {
        "seconds": clocks.wall,
        "plain_seconds": plain_seconds,
        "plain_generation_seconds": rates.seconds(generated=generated, scored=0),
        "wall_ratio": clocks.wall / plain_seconds,
        "controller_share": clocks.controller / clocks.wall,
        "ray_share": clocks.ray / clocks.wall,
        "policy_idle_share": clocks.policy_idle / clocks.wall,
    }
    if has_prm:
        figures["prm_idle_share"] = clocks.prm_idle / clocks.wall
    return figures


def lock_step_figures(
    seconds: float,
    of_lock_step: Clocks,
    records: Sequence[Record],
    of_search: Sequence[Record],
) -> dict[str, Any]:
    """The same search in lock-step, beside the search itself on the same problems and seeds."""
    pairs = list(zip(records, of_search, strict=True))
    return {
        "lock_step.seconds": of_lock_step.wall,
        "lock_step.times_faster": of_lock_step.wall / seconds,
        "lock_step.policy_idle_share": of_lock_step.policy_idle / of_lock_step.wall,
        "lock_step.prm_idle_share": of_lock_step.prm_idle / of_lock_step.wall,
        "lock_step.accuracy": sum(bool(record["is_correct"]) for record in records) / len(records),
        "lock_step.same_answers": sum(slow["answer"] == own["answer"] for slow, own in pairs)
        / len(pairs),
        "lock_step.prm_tokens_computed": sum(
            record["usage"]["prm"]["scored_tokens"] for record in records
        ),
    }
