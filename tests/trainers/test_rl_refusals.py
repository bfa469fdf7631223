"""What a training of a policy refuses before anything starts, and what it gives to workers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl")

from prm_search.data.rows import Rows
from prm_search.errors import ConfigurationError
from prm_search.rewards.credit import GroupCredit
from prm_search.rewards.recipes import AnswerReward, PrmReward
from prm_search.search import BestOfN
from prm_search.voting import Selection
from tests.trainers.rl_jobs import RlJobs
from trainers.rl_ray import for_workers
from trainers.rl_settings import RlTrainer


@pytest.fixture
def make_job(tiny_model: Path, tmp_path: Path) -> RlJobs:
    return RlJobs(tiny_model, tmp_path)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"reward": AnswerReward()}, "the credit needs step scores"),
        ({"reward": PrmReward()}, "the credit needs outcomes"),
        (
            {"credit": None, "methods": {"min": GroupCredit()}, "reward": AnswerReward()},
            "the credit needs step scores",
        ),
        (
            {
                "reward": AnswerReward(),
                "credit": GroupCredit(process=None),
                "search": BestOfN(num_samples=4),
            },
            "choose reward=prm_and_answer",
        ),
        (
            {"search": BestOfN(num_samples=4, selection=Selection.majority)},
            "BestOfN scores no steps",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused_before_anything_starts(
    make_job: RlJobs, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make_job(**given)


def test_workers_find_the_problems_from_another_folder(
    make_job: RlJobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    job = for_workers(make_job(data=Rows(path="problems.jsonl"), run_dir="run"))
    assert job.data == Rows(path=str(tmp_path / "problems.jsonl"))
    assert job.run_dir == str(tmp_path / "run")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"temperature": 0.0}, "policy.temperature must be above 0"),
        ({"top_p": 0.9}, "policy.top_p must be 1"),
    ],
)
def test_sampling_that_the_loss_does_not_know_is_refused(
    make_job: RlJobs, given: dict[str, Any], message: str
) -> None:
    job = make_job()
    with pytest.raises(ConfigurationError, match=message):
        replace(job, policy=replace(job.policy, **given))


def test_forwards_have_to_divide_an_update() -> None:
    with pytest.raises(ConfigurationError, match="must divide the 128 rollouts"):
        RlTrainer(rollouts_per_forward=24)
