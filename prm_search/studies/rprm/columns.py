"""From what the stages have written to what each problem adds to the sums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from prm_search.aggregation import Aggregation, aggregate
from prm_search.evaluation.best_of_n import Rank, best_at_k
from prm_search.evaluation.case import Case
from prm_search.evaluation.first_error import count, predicted_first_error
from prm_search.evaluation.result import CaseResult
from prm_search.seeds import derive_seed
from prm_search.statistics import majority_at_k
from prm_search.studies.rprm.reading import Cost, Rule, cost_of, read_solution
from prm_search.studies.rprm.seed_data import HEAD, RPRMS, ProblemData, SeedData
from prm_search.types import StepScores

BEST, TOKENS, NUM_ANALYSES, NUM_STEPS = 5, 6, 7, 8
"""Where best-of-k, the tokens of the PRM for the k samples, the analyses that it wrote and the
steps that it judged stand, after the five counts of first errors."""
CHOICE = Aggregation.product
"""How step scores are put together in best-of-k, as in the study of label sources."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sizes:
    """What all numbers are computed for."""

    k: int
    """Of best-of-k: all PRMs judge the first k samples of a problem."""
    threshold: float
    """The first step that scores below it is the predicted error."""
    rules: tuple[Rule, ...]
    """How many analyses of each R-PRM are read."""
    votes: tuple[int, ...] = ()
    """Samples of a majority vote, at most those of a problem."""
    choices: tuple[int, ...] = ()
    """Samples that the discriminative PRM chooses among, at most those of a problem."""


def judged(prm: str, rule: Rule | None = None) -> str:
    """The columns of a PRM's judgement of the first k samples; only an R-PRM has a rule."""
    return prm if rule is None else f"{prm} {rule.name}"


def votes(num_samples: int) -> str:
    """The column of a majority vote."""
    return f"majority of {num_samples}"


def choices(num_samples: int) -> str:
    """The column of a choice by the discriminative PRM."""
    return f"best of {num_samples}"


def guided(prm: str) -> str:
    """The columns of a guided search: solved, tokens."""
    return f"guided by {prm}"


SAMPLES = "samples"
"""The columns of all samples: tokens of the policy, tokens of the discriminative PRM, number."""


def columns_of(problem: ProblemData, data: SeedData, sizes: Sizes) -> Mapping[str, Sequence[float]]:
    """What a problem adds to the sums.

    Args:
        problem: one of those of the seed.
        data: of the seed.

    Raises:
        DataError: if analyses are missing.
    """
    cases = problem.cases[: sizes.k]
    by_head = problem.by_head[: sizes.k]
    cost = Cost(
        num_steps=sum(item.num_steps for item in by_head),
        num_analyses=0,
        num_tokens=sum(map(computed, by_head)),
    )
    columns: dict[str, Sequence[float]] = {
        judged(HEAD): _judged(cases, [item.scores for item in by_head], cost, sizes),
        SAMPLES: [
            float(sum(case.trajectory.num_tokens for case in problem.cases)),
            float(sum(map(computed, problem.by_head))),
            float(len(problem.cases)),
        ],
    }
    for prm in RPRMS:
        recorded = data.recorded[prm]
        for rule in sizes.rules:
            scores = [read_solution(case, recorded, rule, sizes.threshold) for case in cases]
            cost = cost_of(cases, recorded, rule, sizes.threshold)
            columns[judged(prm, rule)] = _judged(cases, scores, cost, sizes)
    for prm, search in problem.guided.items():
        columns[guided(prm)] = [float(search.is_right), float(search.num_tokens)]
    columns |= _by_votes(problem, sizes.votes)
    columns |= _by_choices(problem, sizes.choices)
    return columns


def computed(result: CaseResult) -> int:
    """Tokens that a PRM computed for a solution."""
    usage = result.usage
    return usage.prompt_tokens - usage.cached_tokens + usage.generated_tokens


def _judged(
    cases: Sequence[Case], scores: Sequence[StepScores | None], cost: Cost, sizes: Sizes
) -> list[float]:
    """[9] the counts of first errors, and what stands after them."""
    counts = [[0.0] * 5]
    for case, found in zip(cases, scores, strict=True):
        if case.truth is None:
            continue
        predicted = None if found is None else predicted_first_error(found, sizes.threshold)
        truth = case.truth.first_error
        counts.append(count(predicted, truth, has_verdict=found is not None))
    (best,) = best_at_k(_ranks(cases, scores), _right(cases), [sizes.k])
    return [
        *np.sum(counts, axis=0).tolist(),
        best,
        float(cost.num_tokens),
        float(cost.num_analyses),
        float(cost.num_steps),
    ]


def _by_choices(problem: ProblemData, sizes: Sequence[int]) -> Mapping[str, Sequence[float]]:
    scores = [item.scores for item in problem.by_head]
    found = best_at_k(_ranks(problem.cases, scores), _right(problem.cases), sizes)
    return {choices(size): [value] for size, value in zip(sizes, found, strict=True)}


def _by_votes(problem: ProblemData, sizes: Sequence[int]) -> Mapping[str, Sequence[float]]:
    answers = [case.answer for case in problem.cases]
    numbers = {answer: place for place, answer in enumerate(dict.fromkeys(answers))}
    classes = [None if answer is None else numbers[answer] for answer in answers]
    right = next(
        (voted for voted, case in zip(classes, problem.cases, strict=True) if case.is_right), None
    )
    found = majority_at_k(classes, right, sizes, seed=derive_seed(0, problem.id))
    return {votes(size): [value] for size, value in zip(sizes, found, strict=True)}


def _ranks(cases: Sequence[Case], scores: Sequence[StepScores | None]) -> list[Rank | None]:
    return [
        (case.answer is not None, aggregate(found, CHOICE)) if found and found.values else None
        for case, found in zip(cases, scores, strict=True)
    ]


def _right(cases: Sequence[Case]) -> list[bool]:
    return [case.is_right is True for case in cases]
