"""`prm-search evaluate` with real engines and tiny random models."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENGINES = pytest.mark.parametrize(
    ("engine", "cluster"),
    [
        pytest.param("vllm", "ray_single", marks=[pytest.mark.vllm, pytest.mark.ray]),
        ("transformers", "inprocess"),
    ],
)


def evaluate(engine: str, cluster: str, *arguments: str, cwd: Path) -> list[dict[str, object]]:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "prm_search", "evaluate"),
            f"engine={engine}",
            f"cluster={cluster}",
            "benchmark=sandbox",
            "benchmark.num_problems=6",
            "benchmark.levels=[1]",
            "run_dir=run",
            *arguments,
        ],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(line) for line in (cwd / "run/results.jsonl").open()]


@pytest.mark.slow
@ENGINES
def test_a_prm_scores_every_step(engine: str, cluster: str, tiny_prm: Path, tmp_path: Path) -> None:
    records = evaluate(engine, cluster, f"prm.model={tiny_prm}", cwd=tmp_path)
    assert len(records) == 6
    for record in records:
        scores = record["scores"]
        assert isinstance(scores, list)
        assert len(scores) == record["num_steps"]
        assert all(math.isfinite(score) for score in scores)
    found = json.loads((tmp_path / "run/evaluation.json").read_text())
    assert found["is_complete"]
    assert found["num_failed"] == 0
    assert found["tokens_computed"] > 0


@pytest.mark.slow
@ENGINES
def test_what_a_judge_says_is_never_taken_for_a_verdict_if_it_cannot_be_read(
    engine: str, cluster: str, tiny_model: Path, tmp_path: Path
) -> None:
    records = evaluate(
        engine,
        cluster,
        "subject=judge",
        f"judge.model={tiny_model}",
        "judge.max_tokens=8",
        "judge.temperature=1",
        "num_votes=2",
        cwd=tmp_path,
    )
    assert [len(record["verdicts"]) for record in records] == [2] * 6  # pyright: ignore
    found = json.loads((tmp_path / "run/evaluation.json").read_text())
    assert found["num_unreadable_critiques"] == 12
    (subset,) = found["first_errors"]["subsets"]
    assert subset["num_without_verdict"] == 6
    assert subset["plain_accuracy"]["value"] == 0
