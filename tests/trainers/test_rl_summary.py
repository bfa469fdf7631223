"""Trainings with several credits, side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from prm_search.reporting.credits_plot import plot_credits
from prm_search.rl.curves import CurvePoint, mean_curve, tokens_to_reach
from prm_search.rl.summary import (
    credits_table,
    read_curves,
    read_results,
    summarize_credits,
    write_summary,
)


def graded(problem: int, is_right: bool, is_sound: bool | None) -> dict[str, Any]:
    return {
        "problem_id": str(problem),
        "is_right": is_right,
        "is_sound": is_sound,
        "num_steps": 4,
        "num_tokens": 80,
    }


def write(folder: Path, seed: int, held_out: list[dict[str, Any]], onset: int | None) -> None:
    folder.mkdir(parents=True)
    result = {"seed": seed, "generated_tokens": 1000, "hack_onset": onset, "held_out": held_out}
    (folder / "result.json").write_text(json.dumps(result))
    verified = [one["is_right"] and one["is_sound"] for one in held_out]
    known = {} if None in verified else {"held_out_verified": sum(verified) / len(held_out)}
    right = sum(one["is_right"] for one in held_out) / len(held_out)
    metrics: list[dict[str, float]] = [
        {"held_out_accuracy": 0.1, **dict.fromkeys(known, 0.0)},
        {"loss": 0.5, "generated_tokens": 400},
        {"loss": 0.5, "generated_tokens": 600},
        {"held_out_accuracy": right, **known},
    ]
    steps = {"held_out_steps_per_response": 4.0}
    text = "".join(json.dumps({"step": 0, **line, **steps}) + "\n" for line in metrics)
    (folder / "metrics.jsonl").write_text(text)


def test_credits_are_compared_problem_by_problem(tmp_path: Path) -> None:
    for seed in (0, 1):
        plain = [graded(problem, problem < 12, problem < 6) for problem in range(20)]
        better = [graded(problem, problem < 12, problem < 12) for problem in range(20)]
        write(tmp_path / f"outcome/seed_{seed}", seed, plain, onset=12 if seed else None)
        write(tmp_path / f"min/seed_{seed}", seed, better, onset=None)
    summaries = summarize_credits(read_results(tmp_path), read_curves(tmp_path), first="outcome")
    outcome, minimum = summaries
    assert [one.credit for one in summaries] == ["outcome", "min"]
    assert outcome.accuracy.value == minimum.accuracy.value == pytest.approx(0.6)
    assert outcome.verified is not None
    assert minimum.verified is not None
    assert (outcome.verified.value, minimum.verified.value) == pytest.approx((0.3, 0.6))
    assert (outcome.verified_by_seed, minimum.verified_by_seed) == ((0.3, 0.3), (0.6, 0.6))
    assert outcome.verified_share is not None
    assert outcome.verified_share.value == pytest.approx(0.5)
    assert outcome.verified_over_first is None
    assert minimum.verified_over_first is not None
    assert minimum.verified_over_first.value == pytest.approx(0.3)
    assert minimum.verified_over_first.low > 0
    assert outcome.hack_onsets == (None, 12)
    assert (outcome.tokens_to_match_first, minimum.tokens_to_match_first) == (1000, 500)
    console = Console(width=200, record=True)
    console.print(credits_table(summaries))
    assert "1 of 2 (update 12)" in console.export_text()
    assert json.loads(write_summary(tmp_path, summaries).read_text())[1]["credit"] == "min"


def test_without_an_oracle_nothing_is_said_of_steps(tmp_path: Path) -> None:
    write(tmp_path / "seed_0", 0, [graded(0, True, None), graded(1, False, None)], onset=None)
    [summary] = summarize_credits(read_results(tmp_path), read_curves(tmp_path), first="")
    assert summary.accuracy.value == 0.5
    assert summary.verified is None
    assert summary.verified_by_seed == ()
    assert summary.verified_share is None


def test_a_curve_that_stays_below_never_matches() -> None:
    points = [
        CurvePoint(generated_tokens=tokens, accuracy=0.9, verified=verified, steps_per_response=5)
        for tokens, verified in ((0, 0.2), (100, 0.6), (200, 0.4))
    ]
    assert tokens_to_reach(points, 0.7) is None
    assert tokens_to_reach(points, 0.4) == pytest.approx(50)
    assert tokens_to_reach(points, 0.1) == 0
    assert tokens_to_reach(mean_curve([points, points[:2]]), 0.6) == 100


def test_curves_are_drawn(tmp_path: Path) -> None:
    write(tmp_path / "outcome/seed_0", 0, [graded(0, True, True)], onset=None)
    write(tmp_path / "min/seed_0", 0, [graded(0, True, None)], onset=None)
    plot_credits(read_curves(tmp_path), tmp_path / "credits.png")
    assert (tmp_path / "credits.png").stat().st_size > 10_000
