"""The arithmetic behind the figures of updates, by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("trl")

from benchmarks.rl_step import compose_rl_job, figures, read_updates, seconds, variants
from prm_search.budget import Role


def update(sampling: float, tokens: float, *, hidden: float = 1.0) -> dict[str, float]:
    return {
        "loss": 0.1,
        "seconds_sampling": sampling,
        "seconds_exposed_scoring": 0.5,
        "seconds_training": 2.0,
        "seconds_handover": 0.25,
        "seconds_evaluation": 99.0,
        "generated_tokens": tokens,
        "hidden_scoring_share": hidden,
    }


def test_an_update_takes_what_its_parts_take_and_no_evaluation() -> None:
    assert seconds(update(1.25, 100)) == 4.0


def test_medians_are_compared_and_shares_are_means() -> None:
    prm = [update(3.25, 600, hidden=0.7), update(1.25, 400, hidden=0.9), update(99.0, 600)]
    found = figures({"prm": prm, "answers": [update(0.25, 300), update(1.25, 400)]})
    assert found["hidden_scoring_share"] == pytest.approx((0.7 + 0.9 + 1.0) / 3)
    assert found["step_time_ratio"] == pytest.approx(6.0 / 3.5)
    assert found["step_time_ratio_per_token"] == pytest.approx(0.01 / 0.01)
    assert found["num_updates"] == 3
    assert found["seconds.sampling"] == 3.25


def test_evaluations_are_no_updates(tmp_path: Path) -> None:
    lines = [{"step": 0, "held_out_accuracy": 0.5}, {"step": 1, **update(1.0, 10)}]
    (tmp_path / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert [line["step"] for line in read_updates(tmp_path)] == [1]


def test_one_variant_has_a_prm_and_the_other_has_none(tmp_path: Path) -> None:
    found = variants(compose_rl_job(tmp_path))
    assert found["prm"].reward.needs == {Role.PRM}
    assert found["answers"].reward.needs == frozenset()
    assert found["answers"].credit != found["prm"].credit
