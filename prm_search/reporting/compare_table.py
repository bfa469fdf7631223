"""The table of a comparison, for the terminal."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from prm_search.comparison.comparison import Comparison
from prm_search.comparison.wording import percent, points, unit_of_flops


def compare_table(comparison: Comparison) -> Table:
    """One line for each method as it was run. Costs are per problem."""
    has_failures = any(arm.num_failures for arm in comparison.arms)
    has_ungradable = any(arm.num_ungradable for arm in comparison.arms)
    known = [arm.flops for arm in comparison.arms if arm.flops is not None]
    size, unit = unit_of_flops(max(known, default=0.0))
    drawn = Table(header_style="bold")
    drawn.add_column("method", overflow="fold")
    drawn.add_column("accuracy % [95 %]", justify="right", no_wrap=True)
    for name in ("policy tokens", "PRM tokens", unit, "seconds"):
        drawn.add_column(name, justify="right")
    for name in ("minus majority at equal tokens", "at equal FLOPs"):
        drawn.add_column(name, justify="right", min_width=18)
    if has_failures:
        drawn.add_column("failures", justify="right")
    if has_ungradable:
        drawn.add_column("ungradable", justify="right")
    for arm in comparison.arms:
        gaps = [comparison.minus_majority(arm, measure) for measure in ("policy_tokens", "flops")]
        cells = [
            escape(arm.name),
            percent(arm.accuracy),
            f"{arm.policy_tokens:,.0f}",
            f"{arm.prm_tokens:,.0f}",
            "–" if arm.flops is None else f"{arm.flops / size:,.3g}",
            f"{arm.seconds:,.2f}",
            *map(points, gaps),
        ]
        if has_failures:
            cells.append(str(arm.num_failures))
        if has_ungradable:
            cells.append(str(arm.num_ungradable))
        drawn.add_row(*cells)
    return drawn
