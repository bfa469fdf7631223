"""What held-out problems said in the course of a training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from prm_search.store import METRICS


@dataclass(frozen=True, kw_only=True, slots=True)
class CurvePoint:
    """An evaluation, or the mean of those of several seeds."""

    generated_tokens: float
    """What the policy had written for its updates until then."""
    accuracy: float
    """Share of problems whose greedy answer is right."""
    verified: float | None
    """Share of problems with every step right as well; None if nobody can tell."""
    steps_per_response: float


def read_curve(run_dir: Path) -> list[CurvePoint]:
    """The evaluations of one training, in their order. [num_evaluations]"""
    points: list[CurvePoint] = []
    tokens = 0.0
    for text in (run_dir / METRICS).read_text().splitlines():
        line: dict[str, float] = json.loads(text)
        tokens += line.get("generated_tokens", 0.0)
        if "held_out_accuracy" in line:
            points.append(
                CurvePoint(
                    generated_tokens=tokens,
                    accuracy=line["held_out_accuracy"],
                    verified=line.get("held_out_verified"),
                    steps_per_response=line["held_out_steps_per_response"],
                )
            )
    return points


def mean_curve(curves: Sequence[Sequence[CurvePoint]]) -> list[CurvePoint]:
    """The mean of several seeds, evaluation by evaluation, as far as all of them go."""
    return [
        CurvePoint(
            generated_tokens=fmean(point.generated_tokens for point in points),
            accuracy=fmean(point.accuracy for point in points),
            verified=_mean_or_none([point.verified for point in points]),
            steps_per_response=fmean(point.steps_per_response for point in points),
        )
        for points in zip(*curves, strict=False)
    ]


def tokens_to_reach(curve: Sequence[CurvePoint], verified: float) -> float | None:
    """Tokens after which a curve first has so many verified solutions; None if it never has.

    Between evaluations the curve is taken to be straight.
    """
    before: CurvePoint | None = None
    for point in curve:
        if point.verified is None:
            return None
        if point.verified >= verified:
            if before is None or before.verified is None:
                return point.generated_tokens
            share = (verified - before.verified) / (point.verified - before.verified)
            return before.generated_tokens + share * (
                point.generated_tokens - before.generated_tokens
            )
        before = point
    return None


def _mean_or_none(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if len(known) == len(values) else None
