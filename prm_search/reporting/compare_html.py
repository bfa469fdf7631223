"""The page of a comparison: one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import cast

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from prm_search.comparison.comparison import RULES, Comparison, Level, Majority, Summary
from prm_search.comparison.curves import MajorityCurve
from prm_search.comparison.wording import (
    advice_sentences,
    level_sentences,
    loss_sentences,
    percent,
    points,
    unit_of_flops,
)
from prm_search.reporting.evaluation_plot import Chart, Dot, Series, chart
from prm_search.statistics import Estimate

NUM_COLORS = 7
"""Beside the first, grey one of the page, which is that of majority votes."""
_MAX_LETTERS = 26
"""Of a name in a plot."""


def write_comparison_page(path: Path, comparison: Comparison) -> Path:
    """Write the page, and return where it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.draft")
    draft.write_text(render(comparison), encoding="utf-8", errors="replace")
    draft.replace(path)
    return path


def render(comparison: Comparison) -> str:
    """The text of the page."""
    environment = Environment(
        loader=PackageLoader("prm_search.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = cast("dict[str, Callable[..., str]]", environment.filters)  # pyright: ignore[reportUnknownMemberType]
    filters |= {"percent": percent, "points": points}
    colors = _colors(comparison)
    size, unit = _flops_unit(comparison)
    script = _source(environment, "page.js")
    return environment.get_template("compare.html.j2").render(
        comparison=comparison,
        title=" · ".join(dict.fromkeys(arm.method for arm in comparison.arms)),
        seeds=sorted({seed for arm in comparison.arms for seed in arm.seeds}),
        models=_models(comparison),
        colors=colors,
        advice=advice_sentences(comparison),
        by_level=level_sentences(comparison),
        losses=loss_sentences(comparison),
        charts=[item for item in _charts(comparison, colors) if item is not None],
        levels=_levels(comparison),
        pairs=_pairs(comparison),
        flops_size=size,
        flops_unit=unit,
        rules=RULES,
        style=Markup(_source(environment, "report.css")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _colors(comparison: Comparison) -> dict[str, int]:
    """The colour of each arm; majority votes are grey, whatever they are called."""
    colors: dict[str, int] = {}
    for arm in comparison.arms:
        others = sum(color > 0 for color in colors.values())
        colors[arm.name] = 0 if arm.is_majority else 1 + others % NUM_COLORS
    return colors


def _models(comparison: Comparison) -> list[tuple[str, str]]:
    """The models that took part, by what they were."""
    found: list[tuple[str, str]] = []
    for part, key in (("policy", "policy.model"), ("PRM", "prm.model")):
        names = [arm.settings.get(key) for arm in comparison.arms]
        short = dict.fromkeys(
            "/".join(Path(str(name)).parts[-2:]) for name in names if name not in (None, "???")
        )
        found += [(part, name) for name in short]
    return found


def _charts(comparison: Comparison, colors: Mapping[str, int]) -> Iterator[Chart | None]:
    size, unit = _flops_unit(comparison)
    yield _by_cost(
        comparison, colors, "policy_tokens", 1.0, "policy tokens per problem", "policy tokens"
    )
    yield _by_cost(
        comparison, colors, "flops", size, f"{unit} per problem, policy and PRM", "total FLOPs"
    )
    yield _by_seconds(comparison, colors)


def _by_cost(
    comparison: Comparison,
    colors: Mapping[str, int],
    measure: str,
    size: float,
    x_label: str,
    title: str,
) -> Chart | None:
    is_vote = {arm.name for arm in comparison.arms if arm.is_majority}
    series = [
        Series(
            name=_label(each.name),
            color=colors[each.name],
            dots=tuple(
                Dot(
                    x=point.cost / size,
                    y=point.accuracy.value,
                    low=point.accuracy.low if point.limit is None else None,
                    high=point.accuracy.high if point.limit is None else None,
                    note=f"{each.name}, {'run to its end' if point.limit is None else 'cut'}: "
                    f"{percent(point.accuracy)} % at {point.cost / size:,.4g}; "
                    f"{points(point.minus_majority)} points over majority vote",
                )
                for point in each.shown
                if point.cost > 0
            ),
        )
        for each in comparison.curves_of(measure)
        if each.name not in is_vote
    ]
    votes = [
        _votes(item, found, size)
        for item in comparison.majority
        for found in item.curves
        if found.measure == measure
    ]
    return chart(
        [item for item in (*votes, *series) if item.dots],
        title=f"Accuracy by {title}",
        x_label=x_label,
        is_log=True,
    )


def _votes(majority: Majority, found: MajorityCurve, size: float) -> Series:
    last = len(found.sizes) - 1
    return Series(
        name=_label(majority.name),
        color=0,
        is_dashed=True,
        dots=tuple(
            Dot(
                x=cost / size,
                y=accuracy.value,
                low=accuracy.low if place == last else None,
                high=accuracy.high if place == last else None,
                note=f"{majority.name} of {samples}: {percent(accuracy)} % at {cost / size:,.4g}",
            )
            for place, (samples, cost, accuracy) in enumerate(
                zip(found.sizes, found.costs, found.accuracy, strict=True)
            )
        ),
    )


def _by_seconds(comparison: Comparison, colors: Mapping[str, int]) -> Chart | None:
    series = [
        Series(
            name=_label(arm.name),
            color=colors[arm.name],
            dots=(
                Dot(
                    x=arm.seconds,
                    y=arm.accuracy.value,
                    low=arm.accuracy.low,
                    high=arm.accuracy.high,
                    note=f"{arm.name}: {percent(arm.accuracy)} % in {arm.seconds:.3g} s",
                ),
            ),
        )
        for arm in comparison.arms
        if arm.accuracy is not None and arm.seconds > 0 and not arm.is_majority
    ]
    for item in comparison.majority:
        if item.seconds_per_sample:
            by_tokens = item.curves[0]
            in_seconds = MajorityCurve(
                measure="seconds",
                sizes=by_tokens.sizes,
                costs=tuple(size * item.seconds_per_sample for size in by_tokens.sizes),
                accuracy=by_tokens.accuracy,
            )
            series.insert(0, _votes(item, in_seconds, 1.0))
    return chart(series, title="Accuracy by wall time", x_label="seconds per problem", is_log=True)


def _levels(comparison: Comparison) -> tuple[list[str], list[tuple[Summary, dict[str, Level]]]]:
    """The levels, and for each arm what it reached on them."""
    rows = [(arm, {each.level: each for each in arm.levels}) for arm in comparison.arms]
    names = dict.fromkeys(name for _, found in rows for name in found)
    return list(names), rows


def _pairs(comparison: Comparison) -> Mapping[tuple[str, str], tuple[Estimate, float, int]]:
    """Row minus column, its p value and the number of problems, for both orders of each pair."""
    found: dict[tuple[str, str], tuple[Estimate, float, int]] = {}
    for each in comparison.pairs:
        gap = each.difference
        turned = Estimate(value=0.0 - gap.value, low=0.0 - gap.high, high=0.0 - gap.low)
        found[each.first, each.second] = gap, each.p, each.num_problems
        found[each.second, each.first] = turned, each.p, each.num_problems
    return found


def _flops_unit(comparison: Comparison) -> tuple[float, str]:
    return unit_of_flops(max((arm.flops or 0.0 for arm in comparison.arms), default=0.0))


def _label(name: str) -> str:
    return name if len(name) <= _MAX_LETTERS else name[: _MAX_LETTERS - 1] + "…"


def _source(environment: Environment, name: str) -> str:
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]
