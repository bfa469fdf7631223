"""What several trainings came to, side by side: credits, each with one or more seeds."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from prm_search.rl.curves import CurvePoint, mean_curve, read_curve, tokens_to_reach
from prm_search.statistics import (
    Estimate,
    Outcomes,
    accuracy,
    paired_difference,
    percentile_interval,
    resample_sums,
)

RESULT = "result.json"
"""What came of one training; written when it is finished."""
SUMMARY = "summary.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class CreditSummary:
    """The trainings with one credit. Intervals are of 95 %, over held-out problems."""

    credit: str
    num_seeds: int
    accuracy: Estimate
    """Share of held-out problems that greedy decoding answers rightly."""
    verified: Estimate | None
    """Share of them with every step right as well; None if nobody can tell."""
    verified_by_seed: tuple[float, ...]
    """[num_seeds] the same of each training; empty if nobody can tell."""
    verified_share: Estimate | None
    """Share of the right answers whose steps are all right; None if nobody can tell."""
    verified_over_first: Estimate | None
    """`verified` less that of the first credit, problem by problem; None for the first."""
    tokens_to_match_first: float | None
    """Tokens of a training after which the mean curve of `verified` first reaches what the first
    credit has at its end, straight between evaluations; None if it does not, or there is none."""
    steps_per_response: float
    tokens_per_response: float
    """Both of the greedy solutions."""
    generated_tokens: float
    """Of a training, for its updates."""
    hack_onsets: tuple[int | None, ...]
    """[num_seeds] update at which reward hacking set in; None where it did not."""


def read_results(
    run_dir: Path, directories: Collection[Path] | None = None
) -> dict[str, list[dict[str, Any]]]:
    """The results of finished trainings, by credit, in order of the seeds.

    Args:
        run_dir: that of all of them.
        directories: those of the trainings; None takes all below the first.
    """
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for path in _paths(run_dir, directories):
        found[_credit(path, run_dir)].append(json.loads(path.read_text()))
    return {
        name: sorted(results, key=lambda result: result["seed"]) for name, results in found.items()
    }


def read_curves(
    run_dir: Path, directories: Collection[Path] | None = None
) -> dict[str, list[list[CurvePoint]]]:
    """The evaluations of finished trainings, by credit; see `read_results`. [num_seeds]"""
    found: dict[str, list[list[CurvePoint]]] = defaultdict(list)
    for path in _paths(run_dir, directories):
        found[_credit(path, run_dir)].append(read_curve(path.parent))
    return dict(found)


def _paths(run_dir: Path, directories: Collection[Path] | None) -> list[Path]:
    paths = sorted(run_dir.rglob(RESULT))
    return [path for path in paths if directories is None or path.parent in directories]


def summarize_credits(
    results: Mapping[str, Sequence[Mapping[str, Any]]],
    curves: Mapping[str, Sequence[Sequence[CurvePoint]]],
    *,
    first: str,
) -> list[CreditSummary]:
    """One summary for each credit.

    Args:
        results: as `read_results` gives them, with held-out problems.
        curves: as `read_curves` gives them.
        first: the credit that the others are compared with.

    Returns:
        The first credit, and the others in the order given.
    """
    names = [first, *(name for name in results if name != first)]
    baseline = _outcomes(results[first], _is_verified)
    means = {name: mean_curve(curves.get(name, ())) for name in names}
    return [
        _summary(
            name,
            results[name],
            baseline if name != first else None,
            _tokens_to_match(means[name], means[first]),
        )
        for name in names
    ]


def credits_table(summaries: Sequence[CreditSummary]) -> Table:
    """The summaries, for the terminal."""
    table = Table(header_style="bold")
    table.add_column("credit", no_wrap=True)
    for name in (
        "seeds",
        "greedy accuracy",
        "right in every step",
        "by seed",
        "… over the first",
        "sound share of the right",
        "steps",
        "tokens",
        "trained tokens",
        "… to match the first",
        "hacked",
    ):
        table.add_column(name, justify="right")
    for one in summaries:
        onsets = [str(onset) for onset in one.hack_onsets if onset is not None]
        hacked = f"{len(onsets)} of {one.num_seeds}"
        table.add_row(
            one.credit,
            str(one.num_seeds),
            _shown(one.accuracy),
            _shown(one.verified),
            " ".join(f"{100 * value:.1f}" for value in one.verified_by_seed) or "–",
            _shown(one.verified_over_first, signed=True),
            _shown(one.verified_share),
            f"{one.steps_per_response:.1f}",
            f"{one.tokens_per_response:.0f}",
            f"{one.generated_tokens:,.0f}",
            "–" if one.tokens_to_match_first is None else f"{one.tokens_to_match_first:,.0f}",
            f"{hacked} (update {', '.join(onsets)})" if onsets else hacked,
        )
    return table


def write_summary(run_dir: Path, summaries: Sequence[CreditSummary]) -> Path:
    """Write the summaries as JSON; gives the file."""
    path = run_dir / SUMMARY
    path.write_text(json.dumps([asdict(one) for one in summaries], indent=2) + "\n")
    return path


def _credit(result: Path, run_dir: Path) -> str:
    """The name of the credit of a training, from where its result stands."""
    parts = result.parent.relative_to(run_dir).parts
    return "/".join(part for part in parts if not part.startswith("seed_"))


def _tokens_to_match(curve: Sequence[CurvePoint], of_first: Sequence[CurvePoint]) -> float | None:
    goal = of_first[-1].verified if of_first else None
    return None if goal is None else tokens_to_reach(curve, goal)


def _summary(
    name: str,
    results: Sequence[Mapping[str, Any]],
    baseline: Outcomes | None,
    tokens_to_match: float | None,
) -> CreditSummary:
    graded = [one for result in results for one in result["held_out"]]
    verified = _outcomes(results, _is_verified)
    return CreditSummary(
        credit=name,
        num_seeds=len(results),
        accuracy=accuracy(_outcomes(results, _is_right)),
        verified=accuracy(verified) if verified else None,
        verified_by_seed=_by_seed(results) if verified else (),
        verified_share=_sound_share(results) if verified else None,
        verified_over_first=paired_difference(verified, baseline)
        if verified and baseline
        else None,
        tokens_to_match_first=tokens_to_match,
        steps_per_response=math.fsum(one["num_steps"] for one in graded) / len(graded),
        tokens_per_response=math.fsum(one["num_tokens"] for one in graded) / len(graded),
        generated_tokens=math.fsum(one["generated_tokens"] for one in results) / len(results),
        hack_onsets=tuple(result["hack_onset"] for result in results),
    )


def _is_right(graded: Mapping[str, Any]) -> bool | None:
    return graded["is_right"]


def _is_verified(graded: Mapping[str, Any]) -> bool | None:
    return None if graded["is_sound"] is None else graded["is_right"] and graded["is_sound"]


def _by_seed(results: Sequence[Mapping[str, Any]]) -> tuple[float, ...]:
    outcomes = [list(_outcomes([result], _is_verified).values()) for result in results]
    return tuple(sum(verdicts) / len(verdicts) for verdicts in outcomes)


def _outcomes(results: Sequence[Mapping[str, Any]], judge: Any) -> dict[tuple[str, int], bool]:
    return {
        (graded["problem_id"], result["seed"]): verdict
        for result in results
        for graded in result["held_out"]
        if (verdict := judge(graded)) is not None
    }


def _sound_share(results: Sequence[Mapping[str, Any]]) -> Estimate | None:
    """Sound ones among the right ones, with problems resampled."""
    right, sound = _outcomes(results, _is_right), _outcomes(results, _is_verified)
    counts: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for key, is_right in right.items():
        counts[key[0]][0] += is_right
        counts[key[0]][1] += sound[key]
    rows = np.array(list(counts.values()))
    num_right, num_sound = rows.sum(0)
    if num_right == 0:
        return None
    sums = resample_sums(rows, seed=0)
    ratios = sums[sums[:, 0] > 0]
    return percentile_interval(float(num_sound / num_right), ratios[:, 1] / ratios[:, 0])


def _shown(estimate: Estimate | None, *, signed: bool = False) -> str:
    if estimate is None:
        return "–"
    sign = "+" if signed else ""
    value, low, high = (f"{100 * one:{sign}.1f}" for one in (estimate.value, *estimate.interval))
    return f"{value} [{low}, {high}]"
