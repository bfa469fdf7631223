"""The sandbox's policy, trained on real vLLM engines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("trl")
pytest.importorskip("vllm")
from safetensors.torch import load_file

from prm_search.resolvers import sandbox_model

pytestmark = [pytest.mark.slow, pytest.mark.vllm, pytest.mark.timeout(1800)]


def test_engines_sample_from_the_weights_of_the_last_update(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "prm_search", "train-rl", "experiment=sandbox_rl"),
            "cluster=inprocess",
            "policy.logprobs=true",
            "data.num_problems=40",
            "held_out.num_problems=20",
            "trainer.num_updates=3",
            "trainer.problems_per_update=4",
            "trainer.rollouts_per_forward=16",
            "trainer.optimizer.learning_rate=1e-3",
            f"run_dir={run_dir}",
        ],
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=1500,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [json.loads(text) for text in (run_dir / "metrics.jsonl").read_text().splitlines()]
    updates = [line for line in lines if "loss" in line]
    assert [line["policy_version"] for line in updates] == [0, 1, 2]
    # At this rate the weights are far from those of the start: old ones would show here.
    assert all(line["logprob_gap"] < 0.02 for line in updates)
    assert all(line["prm_mean"] > 0.3 for line in updates)
    assert all(line["score_failures"] == line["outcome_failures"] == 0 for line in updates)
    trained = load_file(run_dir / "model" / "model.safetensors")
    start = load_file(Path(sandbox_model("policy")) / "model.safetensors")
    assert trained.keys() == start.keys()
    assert all(trained[name].dtype == start[name].dtype for name in start)
    assert any(not trained[name].equal(start[name]) for name in start)
    assert not list(Path("/dev/shm").glob("prm_search_weights_*/version_*"))
