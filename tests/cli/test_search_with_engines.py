"""The whole command with real engines and tiny random models."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("engine", "cluster"),
    [
        pytest.param("vllm", "ray", marks=[pytest.mark.vllm, pytest.mark.ray]),
        ("transformers", "inprocess"),
    ],
)
def test_a_search_ends_with_every_problem_searched_and_scored(
    engine: str, cluster: str, tiny_model: Path, tiny_prm: Path, tmp_path: Path
) -> None:
    rows = [{"id": f"p{n}", "problem": f"Ann has {n}.", "answer": str(n)} for n in range(6)]
    (tmp_path / "problems.jsonl").write_text("\n".join(map(json.dumps, rows)))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "prm_search", "search"),
            f"engine={engine}",
            f"cluster={cluster}",
            f"policy.model={tiny_model}",
            f"prm.model={tiny_prm}",
            "policy.max_tokens=60",
            "policy.max_step_tokens=20",
            "data=rows",
            "data.path=problems.jsonl",
            "data.id_column=id",
            "data.answer_column=answer",
            "~search",
            "+search@methods.majority=majority",
            "+search@methods.beam=beam",
            "methods.beam.max_steps=3",
            "run_dir=run",
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    records = [json.loads(line) for line in (tmp_path / "run/results.jsonl").open()]
    assert [(row["method"], row["problem"]) for row in records] == [
        (method, f"p{n}") for method in ("majority", "beam") for n in range(6)
    ]
    assert all(row["error"] is None for row in records)
    assert all("prm" not in row["usage"] for row in records[:6])
    assert all(row["usage"]["prm"]["scored_tokens"] > 0 for row in records[6:])
