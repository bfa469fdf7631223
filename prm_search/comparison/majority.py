"""Majority vote at any cost, from the independent samples that runs have drawn.

    pool of n samples of a problem ──random subsets of k──▶ P(their most frequent answer is right)

Subsets are nested, and k is as large as the cost pays for. So the vote is known at each cost that
the pool reaches, whatever the number of samples of the runs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prm_search.comparison.arms import Arm
from prm_search.comparison.measures import Measure
from prm_search.comparison.searched import Searched
from prm_search.course import Spending
from prm_search.seeds import derive_seed
from prm_search.statistics import majority_at_k

RULE = (
    "Majority vote at equal cost: mean over 1,000 random subsets of the samples that runs have "
    "drawn of the problem, as many as cost at least as much as the search did on that problem. "
    "A sample costs what it cost on average, the PRM not counted. So on each problem the vote "
    "spends what the search spent there, and what a search gains by spending more on hard problems "
    "is not counted in its favour. The curve of majority vote spends the same on every problem; it "
    "may lie below a search that is not better by this measure."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Pool:
    """The independent samples of one problem."""

    accuracy: tuple[float, ...]
    """[num_samples] of a vote among 1, 2, … of them."""
    spent_per_sample: Spending
    """Sums over all samples; see `num_samples`."""

    @property
    def num_samples(self) -> int:
        """How many samples there are."""
        return len(self.accuracy)

    def cost_per_sample(self, measure: Measure) -> float:
        """What a sample costs on average."""
        return measure.cost(self.spent_per_sample) / self.num_samples

    def size_for(self, cost: float, measure: Measure) -> int:
        """How many samples cost at least so much; may be more than there are."""
        each = self.cost_per_sample(measure)
        return max(1, math.ceil(cost / each - 1e-9)) if each else self.num_samples

    def at(self, num_samples: int) -> float:
        """Accuracy of a vote among so many samples, or among all where there are fewer."""
        return self.accuracy[min(num_samples, self.num_samples) - 1]


@dataclass(frozen=True, kw_only=True, slots=True)
class Baseline:
    """Pools of all problems for one policy."""

    arms: tuple[Arm, ...]
    """Whose samples these are."""
    pools: Mapping[str, Pool]
    """By problem."""

    @property
    def is_majority(self) -> bool:
        """Whether all samples were drawn for majority votes."""
        return all(arm.is_majority for arm in self.arms)


def find_baseline(arms: Sequence[Arm], policy: str, *, seed: int = 0) -> Baseline | None:
    """The pools of a policy; None if no run has drawn independent samples from it.

    For each problem and seed the largest pool counts, that of a majority vote if there are
    several: with the same seed they are the same samples.

    Args:
        policy: see `Arm.policy`.
        seed: of the subsets.
    """
    sources: dict[tuple[str, int], tuple[Searched, Arm]] = {}
    usable = [arm for arm in arms if arm.policy == policy and arm.draws_independent_samples]
    for arm in sorted(usable, key=lambda each: not each.is_majority):
        for searched in arm.searches:
            if not _is_usable(searched):
                continue
            known = sources.get(searched.key)
            if known is None or len(searched.samples) > len(known[0].samples):
                sources[searched.key] = searched, arm
    by_problem: dict[str, list[Searched]] = {}
    for searched, _ in sources.values():
        by_problem.setdefault(searched.problem, []).append(searched)
    if max((len(each.samples) for each, _ in sources.values()), default=0) < 2:
        return None
    taken = {arm.name for _, arm in sources.values()}
    return Baseline(
        arms=tuple(arm for arm in usable if arm.name in taken),
        pools={
            problem: _pool(sorted(found, key=lambda each: each.seed), derive_seed(seed, problem))
            for problem, found in sorted(by_problem.items())
        },
    )


def _is_usable(searched: Searched) -> bool:
    """Whether the samples are there, and it is known which answers are the same and right."""
    return (
        searched.course is not None
        and searched.has_reference
        and len(searched.samples) > 0
        and all(each is not None for each in searched.course.candidate_rounds)
    )


def _pool(found: Sequence[Searched], seed: int) -> Pool:
    classes: list[int | None] = []
    numbers: dict[str, int] = {}
    right = -1
    for searched in found:
        known: dict[int, int] = {}
        for sample in searched.samples:
            if sample.group is None:
                classes.append(None)
                continue
            if sample.group not in known:
                known[sample.group] = _class(sample.answer, sample.is_correct, numbers, right)
            classes.append(known[sample.group])
    total = sum((each.result.spent for each in found), Spending())
    num_samples = len(classes)
    return Pool(
        accuracy=tuple(majority_at_k(classes, right, range(1, num_samples + 1), seed=seed)),
        spent_per_sample=Spending(
            num_generations=total.num_generations,
            generated_tokens=total.generated_tokens,
            prompt_tokens=total.prompt_tokens,
        ),
    )


def _class(answer: str | None, is_correct: bool | None, numbers: dict[str, int], right: int) -> int:
    """The number of an answer, the same in all searches of a problem.

    What is equivalent to the reference is one answer. Others are compared as texts, which can
    only split wrong votes: in favour of the majority vote.
    """
    if is_correct:
        return right
    return numbers.setdefault(str(answer), len(numbers))
