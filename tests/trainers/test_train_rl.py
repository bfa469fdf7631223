"""Trainings of a tiny policy on engines of this process, by the real loop."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl")
from safetensors.torch import load_file

from prm_search.budget import Role
from prm_search.engines import Engine
from prm_search.errors import StoreError
from prm_search.fakes import FakeScorer
from prm_search.rewards.credit import GroupCredit, Mean
from prm_search.search import BestOfN
from tests.trainers.rl_jobs import RlJobs, curve, lines, run, updates
from trainers import rl_evaluation
from trainers.rl import train
from trainers.rl_job import TrainRl
from trainers.rl_settings import PolicyOptimizer


@pytest.fixture
def make_job(tiny_model: Path, tmp_path: Path) -> RlJobs:
    return RlJobs(tiny_model, tmp_path)


def test_a_training_from_rollouts_to_the_model(make_job: RlJobs, tiny_model: Path) -> None:
    job = make_job()
    assert run(job) == 0
    found = updates(job)
    assert [line["step"] for line in found] == [1, 2, 3]
    assert [line["policy_version"] for line in found] == [0, 1, 2]
    assert all(line["logprob_gap"] < 1e-4 for line in found)  # the engine has the new weights
    assert all(line["grad_norm"] > 0 for line in found)
    assert all(line["num_rollouts"] == 8 for line in found)
    evaluated = [line["step"] for line in lines(job) if "held_out_accuracy" in line]
    assert evaluated == [0, 3]
    result = json.loads((Path(job.run_dir) / "result.json").read_text())
    assert result["updates"] == 3
    assert result["after"]["held_out_accuracy"] == 0
    weights = load_file(Path(job.model_dir) / "model.safetensors")
    start = load_file(tiny_model / "model.safetensors")
    assert weights.keys() == start.keys()
    assert any(not weights[name].equal(start[name]) for name in start)
    assert "GRPO" in (Path(job.model_dir) / "README.md").read_text()
    assert run(job) == 0  # finished: nothing is done
    assert len(updates(job)) == 3


def test_a_resumed_training_goes_on_as_if_it_had_never_stopped(
    make_job: RlJobs,
) -> None:
    whole = make_job({"num_updates": 5}, name="whole")
    assert run(whole) == 0
    first = make_job({"num_updates": 2}, name="parts")
    assert run(first) == 0
    (Path(first.run_dir) / "result.json").unlink()
    rest = make_job({"num_updates": 5}, name="parts")
    assert run(rest) == 0
    assert curve(rest) == pytest.approx(curve(whole), rel=1e-5)


def test_updates_after_the_last_checkpoint_are_made_again(
    make_job: RlJobs,
) -> None:
    scorer = FakeScorer()
    job = make_job({"num_updates": 3, "checkpoint_every": 2})
    job.engine[Role.PRM] = lambda: scorer
    assert run(job) == 0
    expected, num_calls = curve(job), scorer.num_calls
    rollouts = (Path(job.run_dir) / "rollouts.jsonl").read_text()
    assert len(rollouts.splitlines()) == 3 * 8
    # As after a kill within the third update: its checkpoint was begun, its metrics are torn.
    run_dir = Path(job.run_dir)
    (run_dir / "result.json").unlink()
    (run_dir / "checkpoints/checkpoint-3/trainer_state.json").write_text("{")
    with (run_dir / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "lo')
    assert run(job) == 0
    assert curve(job) == pytest.approx(expected, rel=1e-5)
    # What had been rewarded is known, and stands in the file once.
    assert scorer.num_calls == num_calls
    again = (Path(job.run_dir) / "rollouts.jsonl").read_text()
    assert sorted(again.splitlines()) == sorted(rollouts.splitlines())


def test_a_training_that_lost_its_metrics_ends_all_the_same(
    make_job: RlJobs,
) -> None:
    job = make_job({"num_updates": 2})
    assert run(job) == 0
    (Path(job.run_dir) / "metrics.jsonl").unlink()
    (Path(job.run_dir) / "result.json").write_text('{"updates": ')  # killed while it wrote
    assert run(job) == 0
    assert json.loads((Path(job.run_dir) / "result.json").read_text())["updates"] == 2


def test_what_another_process_had_rewarded_is_not_rewarded_again(
    make_job: RlJobs,
) -> None:
    scorer = FakeScorer()
    job = make_job({"num_updates": 3, "checkpoint_every": 2})
    job.engine[Role.PRM] = lambda: scorer
    assert run(job) == 0
    num_calls, run_dir = scorer.num_calls, Path(job.run_dir)
    rollouts = (run_dir / "rollouts.jsonl").read_text().splitlines(keepends=True)
    # As after a kill of two processes within the third update, which one process makes again.
    (run_dir / "result.json").unlink()
    (run_dir / "checkpoints/checkpoint-3/trainer_state.json").unlink()
    (run_dir / "rollouts.jsonl").write_text("".join(rollouts[::2]))
    (run_dir / "rollouts_1.jsonl").write_text("".join(rollouts[1::2]))
    assert run(job) == 0
    assert scorer.num_calls == num_calls
    again = [
        line for path in run_dir.glob("rollouts*.jsonl") for line in path.read_text().splitlines()
    ]
    assert sorted(again) == sorted(map(str.rstrip, rollouts))


def test_another_configuration_is_refused(make_job: RlJobs) -> None:
    job = make_job({"num_updates": 1})
    assert run(job) == 0
    with pytest.raises(StoreError, match="another configuration: credit"):
        run(replace(job, credit=GroupCredit(process=Mean())))


async def test_engines_are_used_again_from_the_weights_that_they_began_with(
    make_job: RlJobs,
) -> None:
    engines = await _started(make_job())
    jobs = [make_job({"num_updates": 2}, name=name) for name in ("first", "second")]
    try:
        for job in jobs:
            assert await train(job, engines) == 0
    finally:
        for engine in engines.values():
            await engine.close()
    assert curve(jobs[1]) == pytest.approx(curve(jobs[0]), rel=1e-5)


async def _started(job: TrainRl) -> Mapping[Role, Engine]:
    engines = {role: factory() for role, factory in job.engine.items()}
    for engine in engines.values():
        await engine.start()
    return engines


async def test_a_training_that_is_stopped_keeps_what_is_done(
    make_job: RlJobs,
) -> None:
    job = make_job()
    engines = await _started(job)
    stop = asyncio.Event()
    stop.set()
    try:
        assert await train(job, engines, stop=stop) == 130
        assert len(updates(job)) == 1
        assert (Path(job.run_dir) / "rewards.png").exists()
        assert await train(job, engines) == 0
    finally:
        for engine in engines.values():
            await engine.close()
    assert [line["step"] for line in updates(job)] == [1, 2, 3]


def test_a_finished_training_goes_on_if_it_is_given_more_updates(
    make_job: RlJobs,
) -> None:
    whole = make_job({"num_updates": 4}, name="whole")
    assert run(whole) == 0
    assert run(make_job({"num_updates": 2}, name="parts")) == 0
    longer = make_job({"num_updates": 4}, name="parts")
    assert run(longer) == 0
    assert curve(longer) == pytest.approx(curve(whole), rel=1e-5)


def test_a_rate_that_falls_towards_the_end_fixes_the_end(make_job: RlJobs) -> None:
    optimizer = PolicyOptimizer(learning_rate=1e-3, decay_share=0.5)
    assert run(make_job({"num_updates": 1, "optimizer": optimizer})) == 0
    with pytest.raises(StoreError, match=r"trainer.num_updates: 1 -> 2"):
        run(make_job({"num_updates": 2, "optimizer": optimizer}))


def test_the_rate_rises_at_the_beginning_and_falls_at_the_end(
    make_job: RlJobs,
) -> None:
    optimizer = PolicyOptimizer(learning_rate=1e-3, num_warmup_updates=2, decay_share=0.5)
    job = make_job(trainer={"num_updates": 5, "optimizer": optimizer})
    assert run(job) == 0
    rates = [line["learning_rate"] for line in updates(job)]
    assert rates == pytest.approx([0, 5e-4, 1e-3, 8e-4, 4e-4])


def test_the_rate_falls_with_the_tokens_that_are_left(make_job: RlJobs) -> None:
    optimizer = PolicyOptimizer(learning_rate=1e-3, decay_share=1.0)
    limits = {"num_updates": 50, "max_generated_tokens": 500}
    job = make_job(trainer={**limits, "optimizer": optimizer})
    assert run(job) == 0
    left = 500.0
    for line in updates(job):
        assert line["learning_rate"] == pytest.approx(1e-3 * left / 500)
        left -= line["generated_tokens"]
    assert left <= 0


def test_credits_and_seeds_are_trained_one_after_another(
    make_job: RlJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    num_evaluations = 0
    evaluate = rl_evaluation.evaluate_greedy

    async def counted(*given: Any) -> Any:
        nonlocal num_evaluations
        num_evaluations += 1
        return await evaluate(*given)

    monkeypatch.setattr(rl_evaluation, "evaluate_greedy", counted)
    job = make_job(
        {"num_updates": 1},
        credit=None,
        methods={"min": GroupCredit(), "outcome": GroupCredit(process=None)},
        seeds=[0, 1],
    )
    assert run(job) == 0
    found = sorted(
        str(path.parent.relative_to(job.run_dir)) for path in Path(job.run_dir).rglob("result.json")
    )
    assert found == ["min/seed_0", "min/seed_1", "outcome/seed_0", "outcome/seed_1"]
    starts = [
        json.loads((Path(job.run_dir) / name / "metrics.jsonl").read_text().splitlines()[0])
        for name in found
    ]
    assert len({line["held_out_tokens_per_response"] for line in starts}) == 1
    assert num_evaluations == 1 + 4  # the start of all of them once, and the end of each


def test_methods_may_be_added_but_none_may_change(make_job: RlJobs) -> None:
    first = {"min": GroupCredit(), "outcome": GroupCredit(process=None)}
    assert run(make_job({"num_updates": 1}, credit=None, methods=first)) == 0
    added = {**first, "mean": GroupCredit(process=Mean())}
    assert run(make_job({"num_updates": 1}, credit=None, methods=added)) == 0
    changed = {**first, "min": GroupCredit(process_weight=0.5)}
    with pytest.raises(StoreError, match=r"run/min holds .* another configuration: credit"):
        run(make_job({"num_updates": 1}, credit=None, methods=changed))


def test_the_budget_of_tokens_ends_a_training(make_job: RlJobs) -> None:
    job = make_job({"num_updates": 50, "max_generated_tokens": 150})
    assert run(job) == 0
    spent = [line["generated_tokens"] for line in updates(job)]
    assert sum(spent[:-1]) < 150 <= sum(spent)
    (Path(job.run_dir) / "result.json").unlink()  # as if killed before the model was written
    assert run(job) == 0
    assert [line["generated_tokens"] for line in updates(job)] == spent
    assert json.loads((Path(job.run_dir) / "result.json").read_text())["held_out"]


def test_rollouts_of_a_search_bring_the_scores_of_its_tree(
    make_job: RlJobs,
) -> None:
    job = make_job({"num_updates": 1}, search=BestOfN(num_samples=4))
    assert run(job) == 0
    [line] = updates(job)
    assert line["prm_mean"] > 0
    assert line["num_rollouts"] == 8


def test_a_search_that_finds_too_little_is_filled_up(make_job: RlJobs) -> None:
    job = make_job({"num_updates": 1}, search=BestOfN(num_samples=2))
    assert run(job) == 0
    [line] = updates(job)
    assert line["share_from_search"] == 0.5
    assert line["num_rollouts"] == 8


def test_held_out_problems_are_searched_as_well(make_job: RlJobs) -> None:
    job = make_job({"num_updates": 1}, held_out_search=BestOfN(num_samples=2))
    assert run(job) == 0
    before, after = [line for line in lines(job) if "held_out_accuracy" in line]
    assert before.keys() == after.keys() >= {"held_out_search_accuracy"}
