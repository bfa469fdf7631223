"""The tables of evaluations, for the terminal. No number stands without its threshold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.markup import escape
from rich.table import Table

from prm_search.evaluation.best_of_n import MAJORITY, PASS
from prm_search.evaluation.prmbench import NAMES
from prm_search.evaluation.report import Evaluation
from prm_search.statistics import Estimate


def tables(evaluations: Sequence[Evaluation]) -> list[Table]:
    """One table for each kind of number that some of the evaluations have."""
    parts = (_first_errors, _prmbench, _best_of_n, _bias)
    return [table for part in parts for table in part(evaluations)]


def percent(estimate: Estimate | None) -> str:
    """A share in percent with its interval, for example "81.5 [75.6, 86.3]"."""
    if estimate is None:
        return "–"
    return f"{plain(estimate)} [{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]"


def plain(estimate: Estimate | None) -> str:
    """A share in percent."""
    return "–" if estimate is None else f"{100 * estimate.value:.1f}"


def title_of(evaluation: Evaluation) -> str:
    """The benchmark, and what keeps its numbers from being those of the whole benchmark."""
    settings = evaluation.benchmark_settings
    notes = [f"{name}={settings[name]}" for name in ("limit", "subsets") if settings.get(name)]
    if not evaluation.is_complete:
        notes.append("unfinished")
    return evaluation.benchmark + (f" ({', '.join(notes)})" if notes else "")


def _groups(
    evaluations: Iterable[Evaluation], has: Iterable[bool]
) -> Iterator[tuple[str, list[Evaluation]]]:
    """The evaluations that have a part, by benchmark."""
    groups: dict[str, list[Evaluation]] = {}
    for evaluation, it_has in zip(evaluations, has, strict=True):
        if it_has:
            groups.setdefault(title_of(evaluation), []).append(evaluation)
    yield from groups.items()


def _table(title: str, caption: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, caption=caption, header_style="bold", caption_justify="left")
    table.add_column("model", min_width=14)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _who(evaluation: Evaluation) -> str:
    return f"{escape(evaluation.model)}, {evaluation.how}"


def _first_errors(evaluations: Sequence[Evaluation]) -> Iterator[Table]:
    has = [item.first_errors is not None for item in evaluations]
    for title, group in _groups(evaluations, has):
        table = _table(
            f"First errors: {title}",
            "F1: harmonic mean of both accuracies; mean: unweighted over the subsets. Percent, "
            "95 % intervals. Without a verdict counts as wrong.",
            ("errors/correct", "error acc.", "correct acc.", "F1", "no verdict"),
        )
        for item in group:
            assert item.first_errors is not None
            table.add_row(_who(item), style="bold")
            for subset in item.first_errors.subsets:
                table.add_row(
                    f"  {escape(subset.name)}",
                    f"{subset.num_errors}/{subset.num_correct}",
                    percent(subset.error_accuracy),
                    percent(subset.correct_accuracy),
                    percent(subset.f1),
                    str(subset.num_without_verdict),
                )
            subsets = item.first_errors.subsets
            table.add_row(
                "  mean",
                f"{sum(s.num_errors for s in subsets)}/{sum(s.num_correct for s in subsets)}",
                "",
                "",
                percent(item.first_errors.mean_f1),
                str(sum(subset.num_without_verdict for subset in subsets)),
                style="bold",
                end_section=True,
            )
        yield table


def _prmbench(evaluations: Sequence[Evaluation]) -> Iterator[Table]:
    for title, group in _groups(evaluations, [item.prmbench is not None for item in evaluations]):
        table = _table(
            f"PRM-Score: {title}",
            "MS is the plain F1. Overall pools all steps, without the unmodified solutions. "
            "Percent. Solutions without scores are left out; valid says how many are in.",
            ("overall", *NAMES.values(), "valid"),
        )
        for item in group:
            assert item.prmbench is not None
            table.add_row(
                _who(item),
                percent(item.prmbench.overall),
                *(plain(category.prm_score) for category in item.prmbench.categories),
                f"{item.prmbench.validity_rate:.1%}",
            )
        yield table


def _best_of_n(evaluations: Sequence[Evaluation]) -> Iterator[Table]:
    for title, group in _groups(evaluations, [item.best_of_n is not None for item in evaluations]):
        for item in group:
            report = item.best_of_n
            assert report is not None
            sizes = sorted({point.k for point in report.points})
            table = _table(
                f"Best of N: {title}",
                f"{report.num_problems} problems, {report.num_samples} samples each; "
                f"{report.num_without_scores} samples without scores are never chosen. Percent, "
                "95 % intervals at the largest k. Last column: majority vote with the tokens that "
                "the choice costs, and the difference.",
                (*(f"k={k}" for k in sizes), "tokens", "majority at equal tokens"),
            )
            table.add_row(escape(item.model), style="bold")
            for method in dict.fromkeys(point.method for point in report.points):
                points = report.of(method)
                # The largest k for which the pool is large enough to compare with.
                equal = next((p for p in reversed(points) if p.equal_tokens), None)
                comparison = ""
                if equal is not None and equal.equal_tokens is not None:
                    against = equal.equal_tokens
                    gap = against.difference
                    comparison = (
                        f"k={equal.k}: {plain(against.majority)} (k={against.k}), "
                        f"{100 * gap.value:+.1f} [{100 * gap.low:.1f}, {100 * gap.high:.1f}]"
                    )
                elif method not in (PASS, MAJORITY):
                    comparison = "pool too small"
                table.add_row(
                    f"  {method}",
                    *(plain(point.accuracy) for point in points[:-1]),
                    percent(points[-1].accuracy),
                    f"{points[-1].tokens:,.0f}",
                    comparison,
                )
            yield table


def _bias(evaluations: Sequence[Evaluation]) -> Iterator[Table]:
    for title, group in _groups(evaluations, [bool(item.bias) for item in evaluations]):
        table = _table(
            f"Biases: {title}",
            "Right but flawed: of the solutions with a right answer, those with a wrong step. Of "
            "these, noticed: some step is named; located: exactly the first wrong one. Lowest "
            "last: the last step scores lower than every other. Percent, 95 % intervals.",
            ("right but flawed", "noticed", "located", "lowest last"),
        )
        for item in group:
            table.add_row(_who(item), style="bold")
            for place, row in enumerate(item.bias, start=1):
                table.add_row(
                    f"  {escape(row.name)}",
                    f"{percent(row.right_but_flawed)} of {row.num_right}",
                    percent(row.noticed),
                    percent(row.located),
                    percent(row.minimum_on_last_step),
                    end_section=place == len(item.bias),
                )
        yield table
