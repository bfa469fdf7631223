"""What a comparison says, in sentences."""

from __future__ import annotations

from collections.abc import Callable

from prm_search.comparison.advice import Advice, Loss
from prm_search.comparison.comparison import Comparison, Level, Summary
from prm_search.statistics import Estimate

MAJORITY = "majority vote"
_UNITS = ((1e15, "PFLOPs"), (1e12, "TFLOPs"), (1e9, "GFLOPs"), (1e6, "MFLOPs"))


def advice_sentences(comparison: Comparison) -> list[tuple[str, str, str]]:
    """Which algorithm to use when: (budget, method, what it reaches) for each budget."""
    return [
        (
            f"{amount(each.measure, each.budget)} per problem",
            each.name or MAJORITY,
            _reached(each),
        )
        for each in comparison.advice
    ]


def level_sentences(comparison: Comparison) -> list[tuple[str, str, str]]:
    """Which algorithm, as it was run, was best on which level: (level, method, by how much).

    Levels without enough problems to tell are left out.
    """
    names = list(dict.fromkeys(level.level for arm in comparison.arms for level in arm.levels))
    found: list[tuple[str, str, str]] = []
    for name in names:
        rows: list[tuple[Summary, Level, Estimate]] = [
            (arm, level, level.minus_majority)
            for arm in comparison.arms
            for level in arm.levels
            if level.level == name and level.minus_majority is not None and not arm.is_majority
        ]
        if not rows:
            continue
        better = [each for each in rows if each[2].low > 0]
        if not better:
            found.append((f"level {name}", MAJORITY, "no search is surely better"))
            continue
        arm, level, gap = max(better, key=lambda each: each[1].accuracy.value)
        text = f"{percent(level.accuracy)}, {points(gap)} over majority vote"
        found.append((f"level {name}", arm.name, text))
    return found


def loss_sentences(comparison: Comparison) -> list[str]:
    """Where majority vote at equal cost is better than a search."""
    compared = [
        arm.name
        for arm in comparison.arms
        if comparison.minus_majority(arm, "policy_tokens") is not None
    ]
    losing = {each.name for each in comparison.losses}
    never = [name for name in compared if name not in losing]
    sentences = [_lost(each) for each in comparison.losses]
    if never:
        sentences.append(
            f"Nowhere on the curve less accurate than majority vote at equal cost: "
            f"{', '.join(never)}."
        )
    return sentences


def amount(measure: str, value: float) -> str:
    """A cost with its unit, for example "1,500 policy tokens"."""
    if measure == "policy_tokens":
        return f"{value:,.0f} policy tokens"
    size, unit = unit_of_flops(value)
    return f"{value / size:.3g} {unit}"


def unit_of_flops(value: float) -> tuple[float, str]:
    """The unit in which so many FLOPs are best written: its size and its name."""
    return next(((size, unit) for size, unit in _UNITS if value >= size), (1.0, "FLOPs"))


def percent(estimate: Estimate | None) -> str:
    """For example "81.5 [75.6, 86.3]"."""
    return _written(estimate, "{:.1f}".format)


def points(estimate: Estimate | None) -> str:
    """A difference, with its sign: for example "+8.1 [2.0, 14.1]"."""
    return _written(estimate, "{:+.1f}".format)


def _written(estimate: Estimate | None, first: Callable[[float], str]) -> str:
    if estimate is None:
        return "–"
    low, high = 100 * estimate.low, 100 * estimate.high
    return f"{first(100 * estimate.value)} [{low:.1f}, {high:.1f}]"


def _reached(advice: Advice) -> str:
    point = advice.point
    if point is None:
        return "no search is surely better at equal cost"
    how = "run to its end"
    if point.limit is not None:
        how = f"stopped at {amount(advice.measure, point.limit)}"
    text = (
        f"{how}, {amount(advice.measure, point.cost)} on average: {percent(point.accuracy)} %, "
        f"{points(point.minus_majority)} points over majority vote at equal cost"
    )
    return text + (f"; not told apart from {', '.join(advice.close)}" if advice.close else "")


def _lost(loss: Loss) -> str:
    first, last = (amount(loss.measure, cost) for cost in loss.costs)
    where = f"at {first}" if loss.costs[0] == loss.costs[1] else f"between {first} and {last}"
    sure = "the interval is below zero" if loss.is_sure else "no interval is below zero"
    return (
        f"{loss.name}: less accurate than majority vote at equal cost {where} per problem, by up "
        f"to {points(loss.worst)} points; {sure}."
    )
