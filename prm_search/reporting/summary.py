"""The numbers of a run: one row for each method."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from prm_search.budget import Role
from prm_search.reporting.run import Outcome, Run, natural
from prm_search.statistics import Estimate, accuracy
from prm_search.types import Usage


@dataclass(frozen=True, kw_only=True, slots=True)
class MethodSummary:
    """What a method reached and what it cost, over all problems and seeds."""

    method: str
    num_samples: int
    """N: samples drawn from the bare problem, at most; 0 if no search came to an end."""
    accuracy: Estimate | None
    """Over the answers that could be graded, with a 95 % interval; None if there are none."""
    num_problems: int
    """Different problems that have a record."""
    num_seeds: int
    num_failures: int
    """Searches that failed. They are in no accuracy."""
    num_ungradable: int
    """Answers that the grader could not tell. They are in no accuracy."""
    policy_tokens: int
    """Tokens that the policy generated."""
    policy_tokens_per_problem: float
    """Mean over the searches that did not fail."""
    prm_tokens_computed: int
    prm_tokens_cached: int
    prm_tokens_recomputed: int
    """PRM tokens if every prefix were computed anew, each time it is scored."""
    seconds: float
    """Wall time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LevelSummary:
    """Accuracy of a method on the problems of one level."""

    method: str
    level: str
    accuracy: Estimate
    num_problems: int


def summarize(run: Run) -> tuple[MethodSummary, ...]:
    """One row for each method, in the order in which the methods were run."""
    return tuple(
        _summarize(method, run.of(method), run.seconds.get(method, 0.0)) for method in run.methods
    )


def summarize_levels(run: Run) -> tuple[LevelSummary, ...]:
    """Accuracy by method and level, levels rising; empty if no problem has a level."""
    levels = sorted({item.level for item in run.outcomes if item.level is not None}, key=natural)
    found: list[LevelSummary] = []
    for method in run.methods:
        for level in levels:
            outcomes = [item for item in run.of(method) if item.level == level]
            estimate = _accuracy(outcomes)
            if estimate is not None:
                problems = {item.problem for item in outcomes}
                found.append(
                    LevelSummary(
                        method=method,
                        level=level,
                        accuracy=estimate,
                        num_problems=len(problems),
                    )
                )
    return tuple(found)


def _summarize(method: str, outcomes: tuple[Outcome, ...], seconds: float) -> MethodSummary:
    policy = sum((item.spent(Role.POLICY) for item in outcomes), Usage())
    prm = sum((item.spent(Role.PRM) for item in outcomes), Usage())
    num_failures = sum(item.error is not None for item in outcomes)
    return MethodSummary(
        method=method,
        num_samples=max(item.num_first_steps for item in outcomes),
        accuracy=_accuracy(outcomes),
        num_problems=len({item.problem for item in outcomes}),
        num_seeds=len({item.seed for item in outcomes}),
        num_failures=num_failures,
        num_ungradable=sum(item.is_ungradable for item in outcomes),
        policy_tokens=policy.generated_tokens,
        policy_tokens_per_problem=policy.generated_tokens / max(len(outcomes) - num_failures, 1),
        prm_tokens_computed=prm.scored_tokens,
        prm_tokens_cached=prm.cached_tokens,
        prm_tokens_recomputed=prm.prompt_tokens,
        seconds=seconds,
    )


def _accuracy(outcomes: Iterable[Outcome]) -> Estimate | None:
    known = {
        (item.problem, item.seed): item.is_correct
        for item in outcomes
        if item.is_correct is not None
    }
    return accuracy(known) if known else None
