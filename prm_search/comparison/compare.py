"""From run directories to the numbers of a comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np

from prm_search.budget import Role
from prm_search.comparison.advice import Candidate, advise, losses
from prm_search.comparison.arms import Arm, read_arms, run_directories
from prm_search.comparison.comparison import Comparison, Level, Majority, Pair, Summary
from prm_search.comparison.curves import (
    Cell,
    cells,
    curve,
    estimates,
    majority_curve,
    shares,
    votes_at_cost,
)
from prm_search.comparison.majority import Baseline, find_baseline
from prm_search.comparison.measures import POLICY_TOKENS, Measure, flops
from prm_search.comparison.notes import notes
from prm_search.course import Spending
from prm_search.errors import DataError
from prm_search.reporting.run import natural
from prm_search.statistics import NUM_RESAMPLES, Outcomes, paired_difference, sign_flip_p_value

MIN_PROBLEMS = 10
"""Of a level: with fewer, the interval of a bootstrap says nothing."""


def compare(
    paths: Sequence[Path],
    *,
    parameters: Mapping[Role, int] | None = None,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
) -> Comparison:
    """Compare all methods of some runs.

    Args:
        paths: run directories, finished or not, and directories that hold some.
        parameters: of models of which no run knows how many they have.
        seed: of the bootstrap and of the subsets of samples.

    Raises:
        StoreError: if a path holds no run, or a run cannot be read.
        DataError: if the runs have no problem in common, or contradict each other.
    """
    directories = run_directories(paths)
    arms = [_with_parameters(arm, parameters or {}) for arm in read_arms(directories)]
    problems = _common_problems(arms)
    work = _Comparing(
        arms=arms,
        problems=problems,
        baselines={
            policy: find_baseline(arms, policy, seed=seed)
            for policy in dict.fromkeys(arm.policy for arm in arms)
        },
        seed=seed,
        num_resamples=num_resamples,
    )
    by_tokens = work.candidates({arm.name: POLICY_TOKENS for arm in arms})
    measures = {arm.name: found for arm in arms if (found := flops(arm.parameters))}
    by_flops = work.candidates(measures)
    rivals = [
        [each for each in candidates if not each.arm.is_majority]
        for candidates in (by_tokens, by_flops)
    ]
    options = {"seed": seed, "num_resamples": num_resamples}
    return Comparison(
        directories=tuple(map(str, directories)),
        num_problems=len(problems),
        arms=tuple(
            work.summary(each.arm, each.cells[-1], measures.get(each.arm.name))
            for each in by_tokens
        ),
        curves=tuple(each.curve for each in (*by_tokens, *by_flops)),
        majority=tuple(work.majority(measures)),
        pairs=tuple(work.pairs()),
        advice=(
            *advise(rivals[0], measure=POLICY_TOKENS.name, **options),
            *advise(rivals[1], measure="flops", **options),
        ),
        losses=(
            *losses(rivals[0], measure=POLICY_TOKENS.name),
            *losses(rivals[1], measure="flops"),
        ),
        notes=tuple(notes([*by_tokens, *by_flops], problems, work.baselines)),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Comparing:
    """What all parts of a comparison are computed from."""

    arms: Sequence[Arm]
    problems: Sequence[str]
    baselines: Mapping[str, Baseline | None]
    """By policy."""
    seed: int
    num_resamples: int

    def candidates(self, measures: Mapping[str, Measure]) -> list[Candidate]:
        """The curve of each arm that has a measure."""
        found: list[Candidate] = []
        for arm in self.arms:
            if arm.name in measures:
                made = cells(arm, self.problems, measures[arm.name])
                drawn = curve(
                    arm,
                    made,
                    self.problems,
                    self.baselines[arm.policy],
                    measures[arm.name],
                    seed=self.seed,
                    num_resamples=self.num_resamples,
                )
                found.append(Candidate(arm=arm, curve=drawn, cells=made))
        return found

    def summary(self, arm: Arm, whole: Cell, measure: Measure | None) -> Summary:
        """The row of an arm. `whole` is the search as it was run, by policy tokens."""
        searches = [each for each in arm.searches if each.problem in set(self.problems)]
        ended = [each for each in searches if not each.is_failed]
        total = sum((each.result.spent for each in ended), Spending())
        count = max(len(ended), 1)
        (accuracy,) = shares([whole.correct], seed=self.seed, num_resamples=self.num_resamples)
        return Summary(
            name=arm.name,
            method=arm.method,
            settings=arm.settings,
            is_majority=arm.is_majority,
            num_problems=len({each.problem for each in searches}),
            seeds=arm.seeds,
            num_failures=len(searches) - len(ended),
            num_ungradable=sum(each.result.is_correct is None for each in ended),
            accuracy=accuracy,
            policy_tokens=total.generated_tokens / count,
            prm_tokens=total.scored_tokens / count,
            flops=measure and measure.cost(total) / count,
            seconds=arm.seconds,
            levels=tuple(self._levels(arm, whole)),
        )

    def _levels(self, arm: Arm, whole: Cell) -> list[Level]:
        of = {each.problem: each.level for each in arm.searches if each.level is not None}
        names = sorted(set(of.values()), key=natural)
        masks = [np.array([of.get(problem) == name for problem in self.problems]) for name in names]
        baseline = self.baselines[arm.policy]
        votes = np.full(len(self.problems), np.nan)
        if baseline is not None:
            votes = votes_at_cost(whole.costs, self.problems, baseline, POLICY_TOKENS)
        found: list[Level] = []
        for name, mask in zip(names, masks, strict=True):
            if not mask.any():
                continue
            options = {"seed": self.seed, "num_resamples": self.num_resamples}
            (accuracy,) = shares([whole.correct[mask]], **options)
            (gap,) = estimates([(whole.correct - votes)[mask]], **options)
            is_enough = mask.sum() >= MIN_PROBLEMS
            if accuracy is not None:
                found.append(
                    Level(
                        level=name,
                        num_problems=int(mask.sum()),
                        accuracy=accuracy,
                        minus_majority=gap if is_enough else None,
                    )
                )
        return found

    def majority(self, measures: Mapping[str, Measure]) -> list[Majority]:
        """Majority vote of each policy."""
        found: list[Majority] = []
        baselines = [each for each in self.baselines.values() if each is not None]
        for baseline in baselines:
            own = [POLICY_TOKENS]
            if (by_flops := measures.get(baseline.arms[0].name)) is not None:
                own.append(by_flops)
            is_one_of_several = len(baselines) > 1
            samples = sum(pool.num_samples for pool in baseline.pools.values())
            searches = {each.key for arm in baseline.arms for each in arm.searches}
            per_problem = samples / max(len(searches), 1)
            found.append(
                Majority(
                    name="majority vote"
                    + (f" (samples of {baseline.arms[0].name})" if is_one_of_several else ""),
                    samples_of=tuple(arm.name for arm in baseline.arms),
                    curves=tuple(
                        majority_curve(
                            baseline,
                            self.problems,
                            measure,
                            seed=self.seed,
                            num_resamples=self.num_resamples,
                        )
                        for measure in own
                    ),
                    seconds_per_sample=baseline.arms[0].seconds / per_problem
                    if baseline.is_majority and len(baseline.arms) == 1
                    else None,
                )
            )
        return found

    def pairs(self) -> list[Pair]:
        """All pairs of arms that have outcomes in common."""
        outcomes = {arm.name: self._outcomes(arm) for arm in self.arms}
        found: list[Pair] = []
        for (first, its), (second, others) in combinations(outcomes.items(), 2):
            common = its.keys() & others.keys()
            if common:
                found.append(
                    Pair(
                        first=first,
                        second=second,
                        difference=paired_difference(
                            its, others, seed=self.seed, num_resamples=self.num_resamples
                        ),
                        p=sign_flip_p_value(its, others),
                        num_problems=len({problem for problem, _ in common}),
                    )
                )
        return found

    def _outcomes(self, arm: Arm) -> Outcomes:
        problems = set(self.problems)
        return {
            each.key: each.result.is_correct
            for each in arm.searches
            if each.problem in problems and each.result.is_correct is not None
        }


def _with_parameters(arm: Arm, given: Mapping[Role, int]) -> Arm:
    known = {role: size or given.get(role) for role, size in arm.parameters.items()}
    return replace(arm, parameters=known)


def _common_problems(arms: Sequence[Arm]) -> list[str]:
    common = {each.problem for each in arms[0].searches}
    for arm in arms:
        common &= {each.problem for each in arm.searches}
    if not common:
        raise DataError(
            "no problem has been searched by all methods: "
            + "; ".join(f"{arm.name} in {arm.directories[0]}" for arm in arms)
        )
    return sorted(common, key=natural)
