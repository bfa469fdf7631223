"""All numbers of a comparison of search runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from prm_search.comparison import advice, curves, majority
from prm_search.comparison.advice import Advice, Loss
from prm_search.comparison.curves import Curve, MajorityCurve
from prm_search.comparison.measures import FLOPS_RULE
from prm_search.statistics import Estimate

RULES: Mapping[str, str] = {
    "intervals": "95 %, percentile bootstrap over problems (all seeds of a problem together), "
    "10,000 resamples; of a single seed's accuracy the interval of Wilson",
    "p": "exact sign-flip test over problems, two-sided; with one seed it is McNemar's",
    "majority": majority.RULE,
    "curves": curves.RULE,
    "flops": FLOPS_RULE,
    "seconds": "seconds: wall time of a run of one method over the number of its problems, many "
    "side by side; it depends on the machine, on the engines' settings and on the load",
    "advice": advice.RULE,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Level:
    """What a method reached on the problems of one level."""

    level: str
    num_problems: int
    accuracy: Estimate
    minus_majority: Estimate | None
    """At equal policy tokens; None also where there are fewer than 10 problems."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """A method as it was run, to its end."""

    name: str
    method: str
    settings: Mapping[str, object]
    is_majority: bool
    num_problems: int
    seeds: tuple[int, ...]
    num_failures: int
    """Searches. They are in no accuracy."""
    num_ungradable: int
    """Answers. They are in no accuracy."""
    accuracy: Estimate | None
    policy_tokens: float
    """Generated, per problem; as all costs, of searches that did not fail."""
    prm_tokens: float
    """Computed, per problem."""
    flops: float | None
    """Per problem; None if the size of a model is not known."""
    seconds: float
    """Per problem."""
    levels: tuple[Level, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """Two methods on the same problems and seeds, whatever they cost."""

    first: str
    second: str
    difference: Estimate
    """Accuracy of the first minus that of the second."""
    p: float
    num_problems: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Majority:
    """Majority vote, as every method is compared with it."""

    name: str
    samples_of: tuple[str, ...]
    """Arms."""
    curves: tuple[MajorityCurve, ...]
    seconds_per_sample: float | None
    """None if the samples were not drawn for majority votes alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """What came of comparing some runs."""

    directories: tuple[str, ...]
    num_problems: int
    """That all methods have been run on; only these are compared."""
    arms: tuple[Summary, ...]
    curves: tuple[Curve, ...]
    majority: tuple[Majority, ...]
    """One for each policy that there are samples of."""
    pairs: tuple[Pair, ...]
    advice: tuple[Advice, ...]
    losses: tuple[Loss, ...]
    notes: tuple[str, ...]
    """What a reader must know."""

    def to_json(self) -> dict[str, object]:
        """Everything as plain values."""
        return {**asdict(self), "rules": dict(RULES)}

    def curves_of(self, measure: str) -> tuple[Curve, ...]:
        """The curves of all methods in one unit of cost."""
        return tuple(each for each in self.curves if each.measure == measure)

    def minus_majority(self, arm: Summary, measure: str) -> Estimate | None:
        """Accuracy of a search as it was run, minus that of majority vote at equal cost.

        None for majority votes themselves, and where it is not known.
        """
        if arm.is_majority:
            return None
        own = [each for each in self.curves_of(measure) if each.name == arm.name and each.points]
        return own[0].points[-1].minus_majority if own else None
