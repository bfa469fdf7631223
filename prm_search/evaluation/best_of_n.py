"""pass@k, maj@k and prm@k from one pool of samples for each problem.

    pool of n samples ──every subset of k──▶ pass@k   one of them is right
                                             maj@k    the most frequent answer is right
                                             prm@k    the best-scored one is right

pass@k (arXiv 2107.03374, equation 1) and prm@k are exact means over all subsets, so they are
unbiased and do not depend on the order of the samples; maj@k is a mean over nested random subsets.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TypeAlias

from prm_search.aggregation import Aggregation, aggregate
from prm_search.evaluation.result import CaseResult
from prm_search.seeds import derive_seed
from prm_search.statistics import NUM_RESAMPLES, Estimate, bootstrap, majority_at_k, pass_at_k
from prm_search.types import Verdict

Rank: TypeAlias = tuple[bool, float]
"""Has an answer, score. The higher, the better."""

PASS, MAJORITY, VOTES = "pass", "majority", "votes"
RULE = (
    "pass@k: one of k samples is right. majority@k: the most frequent of k answers is right. "
    "min, product, last, mean: of k samples the one with the highest score, step scores put "
    "together in this way, is right; votes: the one that most votes of the judge find without "
    "error. All are means over subsets of one pool. A sample without scores is never chosen; one "
    "without an answer only if no other can be. A problem of which no sample can be chosen counts "
    "as wrong. Answers that cannot be graded count as wrong. tokens: policy tokens of k samples "
    "and, where scores are used, the tokens that the PRM or judge computed for them."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class EqualTokens:
    """Majority vote with as many tokens as a choice by scores costs."""

    k: int
    """Samples that the same tokens pay for."""
    majority: Estimate
    difference: Estimate
    """Choice by scores minus majority, on the same problems."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """Accuracy of one way to choose among k samples."""

    method: str
    """pass, majority, an aggregation, or votes."""
    k: int
    accuracy: Estimate
    tokens: float
    """Per problem: what generating and, where it is needed, judging k samples costs."""
    equal_tokens: EqualTokens | None = None
    """None for pass and majority, and where the pool is too small for it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BestOfNReport:
    """Accuracy by method and number of samples."""

    points: tuple[Point, ...]
    num_problems: int
    num_samples: int
    """In the smallest pool."""
    num_without_scores: int
    """Samples that are never chosen by score."""
    policy_tokens_per_sample: float
    critic_tokens_per_sample: float

    def of(self, method: str) -> tuple[Point, ...]:
        """The points of one method, k rising."""
        return tuple(point for point in self.points if point.method == method)


def best_at_k(
    ranks: Sequence[Rank | None], is_right: Sequence[bool], sizes: Sequence[int]
) -> list[float]:
    """P(the highest-ranked of k samples is right), exactly, for each k. [num_sizes]

    Equal ranks share the place. Samples without a rank are never chosen; if there is no other
    among the k, nothing is right.

    Args:
        ranks: [num_samples]
        is_right: [num_samples]
        sizes: each k in [1, num_samples].

    Raises:
        ValueError: if a k is out of its range.
    """
    num_samples = len(ranks)
    if any(not 1 <= k <= num_samples for k in sizes):
        raise ValueError(f"each k must be in [1, {num_samples}], not {list(sizes)}")
    ranked = [(rank, right) for rank, right in zip(ranks, is_right, strict=True) if rank]
    ranked.sort(key=lambda item: item[0], reverse=True)
    found = [0.0] * len(sizes)
    left = num_samples
    for _, members in groupby(ranked, key=lambda item: item[0]):
        group = [right for _, right in members]
        share = sum(group) / len(group)
        for place, k in enumerate(sizes):
            ways = math.comb(left, k) - math.comb(left - len(group), k)
            found[place] += share * ways / math.comb(num_samples, k)
        left -= len(group)
    return found


def best_of_n_report(
    results: Sequence[CaseResult], *, seed: int = 0, num_resamples: int = NUM_RESAMPLES
) -> BestOfNReport | None:
    """Evaluate samples; None if no answer is known to be right or wrong.

    Args:
        seed: of the subsets of maj@k and of the bootstrap.
    """
    pools: dict[str, list[CaseResult]] = {}
    for result in results:
        if result.case.is_right is not None:
            pools.setdefault(result.case.problem, []).append(result)
    num_samples = min(map(len, pools.values()), default=0)
    if num_samples < 2:
        return None
    sizes = sizes_up_to(num_samples)
    samples = [result for pool in pools.values() for result in pool]
    policy = sum(item.num_tokens for item in samples) / len(samples)
    critic = sum(_computed(item) for item in samples) / len(samples)
    order = sorted(pools)

    def majorities(wanted: Sequence[int]) -> list[list[float]]:
        return [_majority(pools[name], wanted, derive_seed(seed, name)) for name in order]

    def estimate(values: Sequence[float]) -> Estimate:
        return bootstrap(values, seed=seed, num_resamples=num_resamples)

    # How many samples a vote gets for the tokens of a choice by scores among k.
    paid = {
        k: int(k * (policy + critic) / policy + 1e-9) if policy else num_samples + 1 for k in sizes
    }
    voted = sorted({*sizes, *(size for size in paid.values() if size <= num_samples)})
    votes = dict(zip(voted, zip(*majorities(voted), strict=True), strict=True))
    by_method: dict[str, list[list[float]]] = {
        PASS: [
            [pass_at_k(len(pool), sum(_right(pool)), k) for k in sizes]
            for pool in (pools[name] for name in order)
        ],
        MAJORITY: [[votes[k][place] for k in sizes] for place in range(len(order))],
    }
    by_method |= _by_scores([pools[name] for name in order], sizes)
    points: list[Point] = []
    for method, table in by_method.items():
        is_scored = method not in (PASS, MAJORITY)
        for place, k in enumerate(sizes):
            values = [row[place] for row in table]
            tokens = k * (policy + critic * is_scored)
            equal = None
            if is_scored and paid[k] <= num_samples:
                against = votes[paid[k]]
                gaps = [first - second for first, second in zip(values, against, strict=True)]
                equal = EqualTokens(
                    k=paid[k], majority=estimate(against), difference=estimate(gaps)
                )
            points.append(
                Point(
                    method=method,
                    k=k,
                    accuracy=estimate(values),
                    tokens=tokens,
                    equal_tokens=equal,
                )
            )
    return BestOfNReport(
        points=tuple(points),
        num_problems=len(pools),
        num_samples=num_samples,
        num_without_scores=sum(not _ranks_by_method(item) for item in samples),
        policy_tokens_per_sample=policy,
        critic_tokens_per_sample=critic,
    )


def sizes_up_to(num_samples: int) -> list[int]:
    """1, 2, 4, … and the number of samples itself."""
    powers = [2**power for power in range(num_samples.bit_length())]
    return sorted({k for k in powers if k <= num_samples} | {num_samples})


def _by_scores(
    pools: Sequence[Sequence[CaseResult]], sizes: Sequence[int]
) -> Mapping[str, list[list[float]]]:
    """prm@k of each problem, by way of putting step scores together."""
    ranks = [[_ranks_by_method(item) for item in pool] for pool in pools]
    methods = dict.fromkeys(method for pool in ranks for item in pool for method in item)
    return {
        method: [
            best_at_k([item.get(method) for item in found], _right(pool), sizes)
            for found, pool in zip(ranks, pools, strict=True)
        ]
        for method in methods
    }


def _ranks_by_method(result: CaseResult) -> dict[str, Rank]:
    has_answer = result.case.answer is not None
    if result.scores is not None and result.scores.values:
        scores = result.scores
        return {str(how): (has_answer, aggregate(scores, how)) for how in Aggregation}
    read = [item.first_error is None for item in result.verdicts if isinstance(item, Verdict)]
    return {VOTES: (has_answer, sum(read) / len(read))} if read else {}


def _majority(pool: Sequence[CaseResult], sizes: Sequence[int], seed: int) -> list[float]:
    answers = dict.fromkeys(item.case.answer for item in pool if item.case.answer is not None)
    numbers = {answer: number for number, answer in enumerate(answers)}
    classes = [None if item.case.answer is None else numbers[item.case.answer] for item in pool]
    right = next(
        (number for number, item in zip(classes, pool, strict=True) if item.case.is_right), None
    )
    return majority_at_k(classes, right, sizes, seed=seed)


def _right(pool: Sequence[CaseResult]) -> list[bool]:
    return [item.case.is_right is True for item in pool]


def _computed(result: CaseResult) -> int:
    usage = result.usage
    return usage.prompt_tokens - usage.cached_tokens + usage.generated_tokens
