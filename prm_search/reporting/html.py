"""The report: one HTML file that needs nothing else, neither network nor server."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from prm_search.reporting.annotators import Annotate
from prm_search.reporting.plot import plot_accuracy
from prm_search.reporting.run import Run, read_run
from prm_search.reporting.summary import (
    LevelSummary,
    MethodSummary,
    summarize,
    summarize_levels,
)
from prm_search.reporting.trees import tree_payload

REPORT = "report.html"

NUM_COLORS = 8
"""The page defines `--series-0` to `--series-7`; further methods begin again."""

_PARTS = {
    "policy": ("policy.model",),
    "PRM": ("prm.model",),
    "judge": ("judge.model",),
    "data": ("data.path", "data.name", "data._target_"),
    "engine": ("engine.generator._target_",),
    "cluster": ("cluster._target_",),
}
"""What the head of the page shows, and where in the configuration it may stand."""
_SCRIPTS = ("page.js", "layout.js", "drawing.js", "viewer.js")


def write_report(
    run_dir: Path,
    *,
    annotate: Annotate | None = None,
    max_trees: int = 60,
    max_bytes: int = 4_000_000,
) -> Path:
    """Write `report.html` into a run directory, whether the run has ended or not.

    Args:
        annotate: tells the truth about the steps of a solution; None asks whom the data names.
        max_trees: problems whose search trees are shown, for each method.
        max_bytes: room for all trees; there are fewer problems where the trees are large.

    Returns:
        Where the report is.

    Raises:
        StoreError: if there is no such run, or a record cannot be read.
        ConfigurationError: if the data names an oracle that is not known.
    """
    page = render_report(
        read_run(run_dir), annotate=annotate, max_trees=max_trees, max_bytes=max_bytes
    )
    path = run_dir / REPORT
    draft = path.with_name(f"{REPORT}.draft")
    draft.write_text(page, encoding="utf-8", errors="replace")
    draft.replace(path)
    return path


def render_report(run: Run, *, annotate: Annotate | None, max_trees: int, max_bytes: int) -> str:
    """The text of the report; see `write_report`."""
    environment = Environment(
        loader=PackageLoader("prm_search.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    script = "\n".join(_source(environment, name) for name in _SCRIPTS)
    rows = summarize(run)
    return environment.get_template("report.html.j2").render(
        run=run,
        title=run.directory.resolve().name,
        num_problems=len({item.problem for item in run.outcomes}),
        seeds=sorted({item.seed for item in run.outcomes}),
        parts=_parts(run.config),
        config=yaml.safe_dump(dict(run.config), sort_keys=False),
        session=run.sessions[-1] if run.sessions else {},
        rows=rows,
        plot=plot_accuracy(rows),
        levels=_by_level(summarize_levels(run)),
        within=_scale(rows),
        color={name: rank % NUM_COLORS for rank, name in enumerate(run.methods)},
        payload=tree_payload(run, annotate=annotate, max_problems=max_trees, max_bytes=max_bytes),
        style=Markup(_source(environment, "report.css")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _source(environment: Environment, name: str) -> str:
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def _parts(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the run was put together from, in a word each."""
    found: list[tuple[str, str]] = []
    for part, places in _PARTS.items():
        for place in places:
            value = _lookup(config, place.split("."))
            if isinstance(value, str):
                # A class by its name; a path of this machine or owner/name by its last two parts.
                is_class = place.endswith("_target_")
                word = value.rpartition(".")[2] if is_class else "/".join(Path(value).parts[-2:])
                found.append((part, word))
                break
    return found


def _lookup(node: object, names: Sequence[str]) -> object:
    for name in names:
        node = cast("Mapping[str, object]", node).get(name) if isinstance(node, Mapping) else None
    return node


def _scale(rows: Sequence[MethodSummary]) -> Callable[[float], float]:
    """Where an accuracy lies between the ends of all intervals, in [0, 1]."""
    known = [row.accuracy for row in rows if row.accuracy is not None]
    low = min((item.low for item in known), default=0.0)
    high = max((item.high for item in known), default=1.0)
    return lambda value: round(min(max((value - low) / (high - low), 0.0), 1.0), 4)


def _by_level(
    found: Sequence[LevelSummary],
) -> tuple[list[str], dict[str, dict[str, LevelSummary]]]:
    """The levels, and for each method what it reached on them."""
    methods: dict[str, dict[str, LevelSummary]] = {}
    for item in found:
        methods.setdefault(item.method, {})[item.level] = item
    return list(dict.fromkeys(item.level for item in found)), methods
