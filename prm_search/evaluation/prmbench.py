"""PRM-Score by category, as the authors of PRMBench compute it (arXiv 2501.03124).

Steps are counted, not solutions, and summed up before anything is divided. A right step that is
held valid is a true positive; a wrong step that is held invalid is a true negative. The PRM-Score
is the mean of the F1 of both classes. Conventions that the paper leaves open are those of the
authors' code:

- A step is valid if its score is *above* the threshold.
- `multi_solutions` has no wrong steps; its score is the plain F1.
- "Overall" sums up the steps of all categories. The unmodified solutions ("correct") are a
  category of their own and in no total.
- Steps that are named as wrong beyond the end of a solution are ignored.
- A solution without scores is left out; how many there are is the validity rate.
- Redundancy, where a model tells it, takes the place of validity for redundancy and circularity.
- A ratio of nothing is -1, which leads to an F1 of -1 or 0; a negative score becomes 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from prm_search.data.prmbench import CATEGORIES, ORIGINAL
from prm_search.evaluation.estimates import Array, by_problem, with_interval
from prm_search.evaluation.result import CaseResult
from prm_search.statistics import NUM_RESAMPLES, Estimate, resample_sums

NAMES: Mapping[str, str] = dict(
    zip(CATEGORIES, ("NR", "NCL", "ES", "SC", "DC", "CI", "PS", "DR", "MS"), strict=True)
)
"""The categories, and what they are called in the paper's table."""

GROUPS: Mapping[str, tuple[str, ...]] = {
    "simplicity": ("redundency", "circular"),
    "soundness": ("counterfactual", "step_contradiction", "domain_inconsistency", "confidence"),
    "sensitivity": ("missing_condition", "deception", "multi_solutions"),
}
"""What the paper averages, each category with the same weight."""

ABOUT_REDUNDANCY = GROUPS["simplicity"]
WITHOUT_ERRORS = "multi_solutions"
_COLUMNS = (*NAMES, ORIGINAL)

RULE = (
    "PRM-Score: mean of the F1 of right steps and the F1 of wrong steps, over the pooled steps of "
    "a category; multi_solutions: plain F1; overall: steps of all categories pooled, without the "
    "unmodified solutions. A step is valid if its score is above the threshold. Solutions without "
    "scores are left out of the PRM-Score, as by the authors; the validity rate says how many."
)
JUDGE_RULE = (
    " A judge names one step: that one counts as invalid and all others as valid. The critics of "
    "the paper label every step, so their numbers cannot be compared with these."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class StepValidity:
    """What is said about the steps of a solution."""

    valid: tuple[bool, ...]
    """[num_steps]"""
    redundant: tuple[bool, ...] | None = None
    """[num_steps], from models that tell it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CategoryScore:
    """The result in one category."""

    name: str
    prm_score: Estimate | None
    """In [0, 1]; None for the unmodified solutions, and without any step."""
    true_positives: int
    """Right steps that are held valid."""
    false_positives: int
    """Wrong steps that are held valid."""
    true_negatives: int
    """Wrong steps that are held invalid."""
    false_negatives: int
    """Right steps that are held invalid."""
    num_solutions: int
    num_left_out: int
    """Solutions without scores, which are in no other number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PrmBenchReport:
    """The results in all categories."""

    overall: Estimate | None
    """PRM-Score of the pooled steps."""
    groups: Mapping[str, Estimate | None]
    categories: tuple[CategoryScore, ...]
    originals: CategoryScore
    """The unmodified solutions. They have right steps only, and are in no total."""
    validity_rate: float
    """Share of the modified solutions that have scores."""


def count_steps(
    said: StepValidity, wrong_steps: Sequence[int], *, is_about_redundancy: bool
) -> list[float]:
    """True and false positives, true and false negatives of one solution. [4]

    Args:
        said: about each step.
        wrong_steps: 0-based.
        is_about_redundancy: whether redundancy, where it is told, takes the place of validity.
    """
    valid = said.valid
    if is_about_redundancy and said.redundant is not None:
        valid = tuple(not redundant for redundant in said.redundant)
    wrong = set(wrong_steps)
    pairs = [(is_valid, index in wrong) for index, is_valid in enumerate(valid)]
    cells = [(True, False), (True, True), (False, True), (False, False)]
    return [float(pairs.count(cell)) for cell in cells]


def class_f1(hits: Array, false_alarms: Array, misses: Array) -> Array:
    """F1 of one class, with the authors' -1 where a ratio is not defined."""
    precision, recall = _ratio(hits, hits + false_alarms), _ratio(hits, hits + misses)
    total = precision + recall
    return np.where(total == 0, -1.0, 2 * precision * recall / np.where(total == 0, 1.0, total))


def prm_score(sums: Array, *, has_errors: bool = True) -> Array:
    """PRM-Score of pooled steps; without wrong steps the plain F1. [...]

    Args:
        sums: [..., 4] as `count_steps` gives them, summed up.
    """
    tp, fp, tn, fn = (sums[..., column] for column in range(4))
    score = class_f1(tp, fp, fn)
    if has_errors:
        score = (score + class_f1(tn, fn, fp)) / 2
    return np.maximum(score, 0.0)


def prmbench_report(
    results: Sequence[CaseResult],
    *,
    threshold: float,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
) -> PrmBenchReport:
    """Evaluate results of PRMBench.

    Args:
        threshold: a step is valid if its score is above it.
        seed: of the bootstrap, which resamples original problems with all that was made of them.
    """
    said = [(item, _said(item, threshold)) for item in results]
    counts = by_problem((item.case.problem, _in_columns(item, has)) for item, has in said)
    counts = counts.reshape(-1, len(_COLUMNS), 4)
    sums = _with_resamples(counts, seed=seed, num_resamples=num_resamples)
    scores = {name: _scores(sums, name) for name in NAMES}
    pooled = sums[:, : len(NAMES)].sum(axis=1)
    modified = [has for item, has in said if item.case.subset != ORIGINAL]

    def category(name: str) -> CategoryScore:
        place = _COLUMNS.index(name)
        group = [has for item, has in said if item.case.subset == name]
        tp, fp, tn, fn = map(int, sums[0, place])
        num_problems = int((counts[:, place].sum(axis=1) > 0).sum())
        return CategoryScore(
            name=name,
            prm_score=_estimate(scores[name], num_problems) if name in scores else None,
            true_positives=tp,
            false_positives=fp,
            true_negatives=tn,
            false_negatives=fn,
            num_solutions=len(group),
            num_left_out=group.count(None),
        )

    return PrmBenchReport(
        overall=_estimate(_where_counted(pooled, prm_score(pooled)), len(counts)),
        groups={
            group: _estimate(np.mean([scores[name] for name in members], axis=0), len(counts))
            for group, members in GROUPS.items()
        },
        categories=tuple(map(category, NAMES)),
        originals=category(ORIGINAL),
        validity_rate=1 - modified.count(None) / len(modified) if modified else 0.0,
    )


def _with_resamples(counts: Array, *, seed: int, num_resamples: int) -> Array:
    """The sums over all problems, and after them those of the resamples.

    Args:
        counts: [num_problems, num_categories, 4]

    Returns:
        [1 + num_resamples, num_categories, 4]
    """
    total = counts.sum(axis=0, keepdims=True)
    if not len(counts):
        return total
    flat = counts.reshape(len(counts), -1)
    drawn = resample_sums(flat, seed=seed, num_resamples=num_resamples)
    return np.concatenate([total, drawn.reshape(-1, *counts.shape[1:])])


def _scores(sums: Array, category: str) -> Array:
    """PRM-Score of a category from all sums, NaN without any step."""
    own = sums[:, _COLUMNS.index(category)]
    return _where_counted(own, prm_score(own, has_errors=category != WITHOUT_ERRORS))


def _where_counted(sums: Array, scores: Array) -> Array:
    return np.where(sums.sum(axis=-1) > 0, scores, np.nan)


def _estimate(scores: Array, num_problems: int) -> Estimate | None:
    """The first score, with the interval of the others."""
    return with_interval(float(scores[0]), scores[1:], num_problems=num_problems)


def _said(result: CaseResult, threshold: float) -> StepValidity | None:
    if result.scores is not None:
        return StepValidity(valid=tuple(value > threshold for value in result.scores.values))
    finding = result.finding(threshold)
    if finding is None:
        return None
    return StepValidity(
        valid=tuple(index != finding.first_error for index in range(result.num_steps))
    )


def _in_columns(result: CaseResult, said: StepValidity | None) -> list[float]:
    """The counts of a solution, in the columns of its category. [num_categories * 4]"""
    truth = result.case.truth
    if truth is None or truth.wrong_steps is None:
        raise ValueError(f"{result.case.id}: PRMBench needs all wrong steps")
    counts = [0.0] * (len(_COLUMNS) * 4)
    if said is not None:
        start = 4 * _COLUMNS.index(result.case.subset)
        counts[start : start + 4] = count_steps(
            said,
            truth.wrong_steps,
            is_about_redundancy=result.case.subset in ABOUT_REDUNDANCY,
        )
    return counts


def _ratio(part: Array, whole: Array) -> Array:
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1.0), -1.0)
