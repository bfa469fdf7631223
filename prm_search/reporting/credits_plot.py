"""Credits side by side: what policies can do after so many tokens."""

# matplotlib's own types are partial.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from prm_search.errors import ConfigurationError
from prm_search.rl.curves import CurvePoint, mean_curve

_NAN = float("nan")
_PANELS: tuple[tuple[str, Callable[[CurvePoint], float]], ...] = (
    ("greedy accuracy", lambda point: point.accuracy),
    (
        "right in every step",
        lambda point: _NAN if point.verified is None else point.verified,
    ),
    ("steps per response", lambda point: point.steps_per_response),
)


def plot_credits(curves: Mapping[str, Sequence[Sequence[CurvePoint]]], path: Path) -> None:
    """Draw the evaluations of all trainings: a thin line for each, a thick one for their mean.

    Args:
        curves: credit -> [num_seeds][num_evaluations].
        path: of the picture; its suffix (.png, .svg, .pdf) says which kind.

    Raises:
        ConfigurationError: if matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigurationError("plots need matplotlib: pip install matplotlib") from error
    figure = Figure(figsize=(14, 4.5), layout="constrained")
    for position, (title, value) in enumerate(_PANELS, start=1):
        axes = figure.add_subplot(1, len(_PANELS), position)
        for number, (name, of_seeds) in enumerate(curves.items()):
            color = f"C{number}"
            for curve in of_seeds:
                axes.plot(*_line(curve, value), color=color, alpha=0.3, linewidth=0.8)
            axes.plot(*_line(mean_curve(of_seeds), value), color=color, marker="o", label=name)
        axes.set_title(title)
        axes.set_xlabel("tokens generated for updates")
        axes.legend(fontsize="small")
    figure.savefig(path)


def _line(
    curve: Sequence[CurvePoint], value: Callable[[CurvePoint], float]
) -> tuple[list[float], list[float]]:
    return [point.generated_tokens for point in curve], [value(point) for point in curve]
