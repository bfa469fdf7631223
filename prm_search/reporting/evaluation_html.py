"""The report of evaluations, side by side: one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from prm_search.evaluation.best_of_n import MAJORITY, PASS
from prm_search.evaluation.prmbench import GROUPS, NAMES
from prm_search.evaluation.report import Evaluation
from prm_search.reporting.evaluation_plot import Chart, Dot, Series, chart
from prm_search.reporting.evaluation_table import percent, plain, title_of
from prm_search.statistics import Estimate

NUM_COLORS = 8
_REPRESENTATIVES = ("product", "votes")
"""The choice by which a model stands in the picture of best-of-N against step accuracy. It is
fixed beforehand: the best of several would be chosen on the test data."""


def write_evaluation_report(path: Path, evaluations: Sequence[Evaluation]) -> Path:
    """Write the report of some evaluations, and return where it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.draft")
    draft.write_text(render(evaluations), encoding="utf-8", errors="replace")
    draft.replace(path)
    return path


def render(evaluations: Sequence[Evaluation]) -> str:
    """The text of the report."""
    environment = Environment(
        loader=PackageLoader("prm_search.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = cast("dict[str, Callable[..., str]]", environment.filters)  # pyright: ignore[reportUnknownMemberType]
    filters |= {"percent": percent, "plain": plain, "title_of": title_of}
    models = list(dict.fromkeys(map(label_of, evaluations)))
    colors = {name: rank % NUM_COLORS for rank, name in enumerate(models)}
    rules = {name: rule for item in evaluations for name, rule in item.rules.items()}
    script = _source(environment, "page.js")
    return environment.get_template("evaluation.html.j2").render(
        evaluations=evaluations,
        title=" · ".join(dict.fromkeys(map(title_of, evaluations))),
        color={label: colors[label] for label in models},
        label_of=label_of,
        rules=rules,
        names=NAMES,
        groups=GROUPS,
        charts=[item for item in _charts(evaluations, colors) if item],
        style=Markup(_source(environment, "report.css")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def label_of(evaluation: Evaluation) -> str:
    """The model, and that it was asked as a judge."""
    return evaluation.model + (" (judge)" if evaluation.subject == "judge" else "")


def _charts(evaluations: Sequence[Evaluation], colors: dict[str, int]) -> list[Chart | None]:
    found = [_thresholds(title, evaluations, colors) for title in _titles(evaluations)]
    found += [_best_of_n(item) for item in evaluations]
    return [*found, _against_steps(evaluations, colors)]


def _titles(evaluations: Sequence[Evaluation]) -> list[str]:
    return list(dict.fromkeys(title_of(item) for item in evaluations if item.f1_by_threshold))


def _thresholds(
    title: str, evaluations: Sequence[Evaluation], colors: dict[str, int]
) -> Chart | None:
    group = [item for item in evaluations if item.f1_by_threshold and title_of(item) == title]
    declared = {item.threshold for item in group}
    return chart(
        [
            Series(
                name=label_of(item),
                color=colors[label_of(item)],
                dots=tuple(
                    Dot(x=x, y=y, note=f"{label_of(item)}, threshold {x:g}: F1 {100 * y:.1f}")
                    for x, y in item.f1_by_threshold
                    if y is not None
                ),
            )
            for item in group
        ],
        title=f"{title}: mean F1 by threshold (the line marks the declared one)",
        x_label="threshold",
        mark=declared.pop() if len(declared) == 1 else None,
    )


def _best_of_n(evaluation: Evaluation) -> Chart | None:
    report = evaluation.best_of_n
    if report is None or report.policy_tokens_per_sample == 0:
        return None
    methods = dict.fromkeys(point.method for point in report.points)
    return chart(
        [
            Series(
                name=method,
                color=rank % NUM_COLORS,
                is_dashed=method in (PASS, MAJORITY),
                dots=tuple(
                    Dot(
                        x=point.tokens,
                        y=point.accuracy.value,
                        low=point.accuracy.low,
                        high=point.accuracy.high,
                        note=f"{method}@{point.k}: {percent(point.accuracy)}, "
                        f"{point.tokens:,.0f} tokens per problem",
                    )
                    for point in report.of(method)
                ),
            )
            for rank, method in enumerate(methods)
        ],
        title=f"{label_of(evaluation)}: accuracy by tokens, k = 1 … {report.num_samples}",
        x_label="tokens per problem: policy, and the PRM or judge where it is used",
        is_log=True,
    )


def _against_steps(evaluations: Sequence[Evaluation], colors: dict[str, int]) -> Chart | None:
    """Best-of-N against step accuracy, as figure 7 of arXiv 2501.07301: a dot for each model."""
    steps: dict[str, tuple[str, Estimate]] = {}
    choices: dict[str, tuple[str, Estimate]] = {}
    for item in evaluations:
        label = label_of(item)
        if item.first_errors is not None and item.first_errors.mean_f1 is not None:
            known = steps.get(label)
            # A benchmark of its own says more than the samples that best-of-N is drawn from.
            if known is None or known[0] == "Samples":
                steps[label] = (item.benchmark, item.first_errors.mean_f1)
        if item.best_of_n is not None:
            for method in _REPRESENTATIVES:
                points = item.best_of_n.of(method)
                if points:
                    choices[label] = (f"{method}@{points[-1].k}", points[-1].accuracy)
    series: list[Series] = []
    for label in steps.keys() & choices.keys():
        (benchmark, f1), (choice, accuracy) = steps[label], choices[label]
        note = f"{label}: F1 {percent(f1)} on {benchmark}, {choice} {percent(accuracy)}"
        dot = Dot(
            x=f1.value,
            x_low=f1.low,
            x_high=f1.high,
            y=accuracy.value,
            low=accuracy.low,
            high=accuracy.high,
            note=note,
        )
        series.append(Series(name=label, color=colors[label], dots=(dot,)))
    series.sort(key=lambda item: item.name)
    benchmarks = " and ".join(sorted({steps[item.name][0] for item in series}))
    names = " and ".join(sorted({choices[item.name][0] for item in series}))
    return chart(
        series,
        title=f"Best-of-N ({names}) against step accuracy ({benchmarks})",
        x_label="mean first-error F1",
        is_share=True,
    )


def _source(environment: Environment, name: str) -> str:
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]
