"""Everything that the study has measured, computed from what its stages wrote."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial

from prm_search.statistics import Estimate
from prm_search.studies.lessons.draws import estimate
from prm_search.studies.lessons.findings import Finding, values_of
from prm_search.studies.rprm.columns import (
    BEST,
    NUM_ANALYSES,
    NUM_STEPS,
    SAMPLES,
    TOKENS,
    Sizes,
    choices,
    columns_of,
    guided,
    judged,
    votes,
)
from prm_search.studies.rprm.draws import Draws, Row, draws
from prm_search.studies.rprm.findings import (
    ADAPTIVE,
    FIXED,
    MOST,
    SURE,
    Matched,
    Question,
    findings,
)
from prm_search.studies.rprm.reading import Rule
from prm_search.studies.rprm.seed_data import DPO, HEAD, PRMS, RPRMS, SeedData


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """What a PRM makes of the same solutions as all others."""

    prm: str
    rule: str | None
    """How many analyses are read of each step; None for the discriminative PRM."""
    num_analyses: Estimate | None
    """Of a step, on average."""
    f1: Estimate | None
    f1_by_seed: tuple[float, ...]
    best_of_k: Estimate | None
    tokens: float
    """Per problem: those of the PRM for the k samples."""
    minus_most: Estimate | None = None
    """F1 minus that of all analyses."""
    same_number: int | None = None
    """Of a rule that stops early: as many analyses of every step, rounded up."""
    minus_same_number: Estimate | None = None
    """F1 minus that of so many analyses of every step."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AtEqualTokens:
    """A way to solve problems beside a majority vote and a discriminative PRM as dear as it."""

    name: str
    solved: Estimate | None
    cost: Matched
    by_votes: Estimate | None
    minus_votes: Estimate | None
    by_choices: Estimate | None
    """Best of as many samples by the discriminative PRM."""
    minus_choices: Estimate | None


@dataclass(frozen=True, kw_only=True, slots=True)
class RPrmResults:
    """What came of the study."""

    seeds: tuple[int, ...]
    k: int
    num_analyses: int
    """Of a step, where R-PRMs are compared with something else."""
    threshold: float
    num_problems: int
    num_samples: int
    """Of each problem."""
    policy_tokens_per_sample: float
    judgements: tuple[Judgement, ...]
    at_equal_tokens: tuple[AtEqualTokens, ...]
    findings: tuple[Finding, ...]
    learned: Mapping[str, Sequence[int]]
    """What was learned from: how many, by seed."""
    seconds: Mapping[str, float]
    """By kind of stage."""

    def to_json(self) -> dict[str, object]:
        """Everything as plain values."""
        return {**asdict(self), "findings": values_of(self.findings)}

    def of(self, prm: str) -> tuple[Judgement, ...]:
        """The judgements of a PRM."""
        return tuple(item for item in self.judgements if item.prm == prm)


def measure(
    data: Sequence[SeedData],
    *,
    seeds: Sequence[int],
    k: int,
    num_analyses: int,
    threshold: float,
    learned: Mapping[str, Sequence[int]],
    seconds: Mapping[str, float],
) -> RPrmResults:
    """Compute everything.

    Args:
        data: [num_seeds] what the stages have written.
        seeds: [num_seeds]
        k: of best-of-k.
        num_analyses: of a step, where R-PRMs are compared with something else.
        threshold: the first step that scores below it is the predicted error.
        learned: how many rows were learned from, by seed.
        seconds: what the stages took, by kind.

    Raises:
        DataError: if something is missing.
    """
    rule = Rule(most=num_analyses)
    fixed = [Rule(most=number) for number in sorted({*FIXED, num_analyses})]
    first = Sizes(k=k, threshold=threshold, rules=(*fixed, *ADAPTIVE))
    costs = draws(_rows(data, first), num_resamples=0)
    same = {
        (prm, item): max(1, math.ceil(_number(costs, prm, item) - 1e-9))
        for prm in RPRMS
        for item in ADAPTIVE
    }
    num_samples = min(len(problem.cases) for seed in data for problem in seed.problems)
    ways = _ways(costs, rule, k, num_samples)
    sizes = Sizes(
        k=k,
        threshold=threshold,
        rules=tuple(dict.fromkeys((*first.rules, *(Rule(most=size) for size in same.values())))),
        votes=tuple(sorted({cost.num_votes for _, _, cost in ways})),
        choices=tuple(sorted({cost.num_choices for _, _, cost in ways})),
    )
    rows = [_rows([item], sizes) for item in data]
    pooled = draws([row for group in rows for row in group])
    by_seed = [draws(group, num_resamples=0) for group in rows]
    by_name = {cost.name: cost for _, _, cost in ways}
    question = Question(
        k=k,
        rule=rule,
        best=by_name[f"best-of-{k} by {judged(DPO, rule)}"],
        search=by_name[guided(DPO)],
        same_number=same[DPO, Rule(most=MOST, confidence=SURE)],
    )
    judge = partial(_judgement, pooled, by_seed)
    return RPrmResults(
        seeds=tuple(seeds),
        k=k,
        num_analyses=num_analyses,
        threshold=threshold,
        num_problems=pooled.num_problems,
        num_samples=num_samples,
        policy_tokens_per_sample=_policy_tokens(pooled),
        judgements=(
            judge(HEAD),
            *(
                judge(prm, item, same.get((prm, item)))
                for prm in RPRMS
                for item in (*fixed, *ADAPTIVE)
            ),
        ),
        at_equal_tokens=tuple(_at_equal_tokens(pooled, *way) for way in ways),
        findings=findings(pooled, by_seed, question),
        learned=learned,
        seconds=seconds,
    )


def _rows(data: Sequence[SeedData], sizes: Sizes) -> list[Row]:
    return [
        Row(level=problem.level, columns=columns_of(problem, seed, sizes))
        for seed in data
        for problem in seed.problems
    ]


def _number(found: Draws, prm: str, rule: Rule) -> float:
    return float(found.ratio(judged(prm, rule), NUM_ANALYSES, NUM_STEPS)[0])


def _policy_tokens(found: Draws) -> float:
    return float(found.ratio(SAMPLES, 0, 2)[0])


def _ways(found: Draws, rule: Rule, k: int, num_samples: int) -> list[tuple[str, int, Matched]]:
    """All ways to solve problems: the column that says how well, and what they cost."""
    policy = _policy_tokens(found)
    head = float(found.ratio(SAMPLES, 1, 2)[0])

    def matched(name: str, tokens: float) -> Matched:
        sizes = [
            math.floor(tokens / each + 1e-9) if each else num_samples + 1
            for each in (policy, policy + head)
        ]
        return Matched(
            name=name,
            tokens=tokens,
            num_votes=max(1, min(sizes[0], num_samples)),
            num_choices=max(1, min(sizes[1], num_samples)),
            is_short=sizes[0] > num_samples,
        )

    sure = Rule(most=MOST, confidence=SURE)
    names = [judged(HEAD), *(judged(prm, item) for prm in RPRMS for item in (rule, sure))]
    best = [
        (name, BEST, matched(f"best-of-{k} by {name}", _best_tokens(found, name, k, policy)))
        for name in names
    ]
    searches = [(guided(prm), 0, float(found.mean(guided(prm), 1)[0])) for prm in PRMS]
    return [*best, *((name, place, matched(name, cost)) for name, place, cost in searches)]


def _best_tokens(found: Draws, name: str, k: int, policy: float) -> float:
    return k * policy + float(found.mean(name, TOKENS)[0])


def _judgement(
    pooled: Draws,
    by_seed: Sequence[Draws],
    prm: str,
    rule: Rule | None = None,
    same_number: int | None = None,
) -> Judgement:
    name = judged(prm, rule)
    f1 = pooled.f1(name)
    most = None if rule is None else pooled.f1(judged(prm, Rule(most=MOST)))
    same = None if same_number is None else pooled.f1(judged(prm, Rule(most=same_number)))
    return Judgement(
        prm=prm,
        rule=None if rule is None else rule.name,
        num_analyses=None
        if rule is None
        else estimate(pooled.ratio(name, NUM_ANALYSES, NUM_STEPS)),
        f1=estimate(f1),
        f1_by_seed=tuple(float(item.f1(name)[0]) for item in by_seed),
        best_of_k=estimate(pooled.mean(name, BEST)),
        tokens=float(pooled.mean(name, TOKENS)[0]),
        minus_most=None if most is None else estimate(f1 - most),
        same_number=same_number,
        minus_same_number=None if same is None else estimate(f1 - same),
    )


def _at_equal_tokens(pooled: Draws, name: str, place: int, cost: Matched) -> AtEqualTokens:
    solved = pooled.mean(name, place)
    by_votes = pooled.mean(votes(cost.num_votes))
    by_choices = pooled.mean(choices(cost.num_choices))
    return AtEqualTokens(
        name=cost.name,
        solved=estimate(solved),
        cost=cost,
        by_votes=estimate(by_votes),
        minus_votes=estimate(solved - by_votes),
        by_choices=estimate(by_choices),
        minus_choices=estimate(solved - by_choices),
    )
