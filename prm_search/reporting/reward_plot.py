"""The curves of an RL training: what the PRM says, what is right, and what changes meanwhile."""

# matplotlib's own types are partial.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from prm_search.errors import ConfigurationError
from prm_search.rewards.guards import HackAlarm, Hacking

PANELS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("reward", ("prm_mean", "prm_min", "outcome")),
    ("steps per response", ("steps_per_response",)),
    ("tokens per step", ("tokens_per_step",)),
    ("repetition", ("repetition", "repeated_steps")),
    ("correlation of PRM and outcome", ("correlation", "correlation_in_group")),
    (
        "shares of rollouts",
        ("truncated", "empty", "score_failures", "outcome_failures"),
    ),
)
"""Title of each panel, and the metrics of `prm_search.rewards.guards.measure` in it."""


def plot_rewards(
    history: Sequence[Mapping[str, float]], path: Path, *, alarm: HackAlarm | None = None
) -> Hacking | None:
    """Draw the metrics of all updates, and mark where reward hacking set in.

    Args:
        history: [num_updates] what `measure` gave, at least one. Where a metric is left out, its
            curve has a gap; a panel of which nothing is known stays empty.
        path: of the picture; its suffix (.png, .svg, .pdf) says which kind.
        alarm: how hacking is recognised; None takes the defaults.

    Returns:
        What set the alarm off, None if nothing did. Updates without PRM scores or outcomes are
        not looked at.

    Raises:
        ConfigurationError: if matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigurationError("plots need matplotlib: pip install matplotlib") from error
    hacking = _find_hacking(history, alarm or HackAlarm())
    updates = range(len(history))
    # Without pyplot: nothing global, and no display.
    figure = Figure(figsize=(12, 6), layout="constrained")
    for position, (title, names) in enumerate(PANELS, start=1):
        known = [name for name in names if any(name in metrics for metrics in history)]
        if not known:
            continue
        axes = figure.add_subplot(2, 3, position)
        for name in known:
            values = [metrics.get(name, float("nan")) for metrics in history]
            axes.plot(updates, values, label=name.replace("_", " "))
        if hacking is not None:
            axes.axvspan(
                hacking.onset, hacking.update, color="tab:red", alpha=0.15, label="hacking"
            )
        axes.set_title(title)
        axes.set_xlim(0, max(len(history) - 1, 1))
        axes.set_xlabel("update")
        axes.legend(fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    return hacking


def _find_hacking(history: Sequence[Mapping[str, float]], alarm: HackAlarm) -> Hacking | None:
    known = [
        update
        for update, metrics in enumerate(history)
        if "prm_mean" in metrics and "outcome" in metrics
    ]
    hacking = alarm.first(
        [history[update]["prm_mean"] for update in known],
        [history[update]["outcome"] for update in known],
    )
    if hacking is None:
        return None
    return Hacking(
        update=known[hacking.update],
        onset=known[hacking.onset],
        prm_rise=hacking.prm_rise,
        outcome_fall=hacking.outcome_fall,
    )
