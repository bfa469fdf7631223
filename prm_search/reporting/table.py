"""The table of a run, for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from prm_search.reporting.summary import MethodSummary
from prm_search.statistics import Estimate


def table(rows: Sequence[MethodSummary]) -> Table:
    """One line for each method: what it reached, with a 95 % interval, and what it cost.

    The columns of failures and of answers that cannot be graded are there if there are any.
    """
    has_failures = any(row.num_failures for row in rows)
    has_ungradable = any(row.num_ungradable for row in rows)
    drawn = Table(header_style="bold")
    drawn.add_column("method", no_wrap=True)
    for name in ("N", "accuracy [95 %]", "policy tokens", "PRM computed", "PRM cached", "seconds"):
        drawn.add_column(name, justify="right", no_wrap=name == "accuracy [95 %]")
    if has_failures:
        drawn.add_column("failures", justify="right")
    if has_ungradable:
        drawn.add_column("ungradable", justify="right")
    for row in rows:
        cells = [
            escape(row.method),
            str(row.num_samples),
            format_accuracy(row.accuracy),
            f"{row.policy_tokens:,}",
            f"{row.prm_tokens_computed:,}",
            f"{row.prm_tokens_cached:,}",
            f"{row.seconds:,.1f}",
        ]
        if has_failures:
            cells.append(str(row.num_failures))
        if has_ungradable:
            cells.append(str(row.num_ungradable))
        drawn.add_row(*cells)
    return drawn


def format_accuracy(estimate: Estimate | None) -> str:
    """An accuracy in percent, for example "81.5% [75.6, 86.3]"."""
    if estimate is None:
        return "–"
    return f"{estimate.value:.1%} [{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]"
