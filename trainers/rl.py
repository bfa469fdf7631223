"""Trains a policy: engines, one training after another on them, rollouts that are rewarded at once.

engines (Ray actors, or this process) ◄── rollouts, new weights ──► trainer (a thread here,
or workers of Ray Train)
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from rich.console import Console

from prm_search.budget import Role
from prm_search.engines import Engine
from prm_search.errors import ConfigurationError
from prm_search.grading import MathGrader
from prm_search.interrupt import StopOnInterrupt
from prm_search.progress import display_for
from prm_search.protocols import Scorer
from prm_search.reporting.credits_plot import plot_credits
from prm_search.rewards import MicroBatcher, Reward
from prm_search.rewards.recipes import Part
from prm_search.rewards.sources import AnswerSource
from prm_search.rl import (
    KnownRewards,
    RewardKey,
    Rollout,
    RolloutLog,
    SampleCollector,
    TrainableGenerator,
    TreeCollector,
    VersionedGenerator,
)
from prm_search.rl.summary import (
    RESULT,
    credits_table,
    read_curves,
    read_results,
    summarize_credits,
    write_summary,
)
from prm_search.run_session import INTERRUPTED, OK, running_engines
from trainers.rl_arguments import latest_checkpoint, num_updates
from trainers.rl_evaluation import Evaluator, Start
from trainers.rl_job import TrainRl, is_finished
from trainers.rl_session import Bridge, RlSession
from trainers.rl_stop import Stop
from trainers.run_folder import open_run, require_same

CURVES = "credits.png"


def run_job(job: TrainRl, *, config: Mapping[str, object], command: str) -> int:
    """Train; see `trainers.rl_job.TrainRl.run`."""
    may_differ = job.settings_that_may_differ()
    run_dir = Path(job.run_dir)
    open_run(run_dir, config, seed=job.seed, command=command, may_differ=may_differ)
    for one in job.trainings():
        directory, own = Path(one.run_dir), _own_config(config, job, one)
        if is_finished(one):
            require_same(directory, own, may_differ=may_differ)
            continue
        (directory / RESULT).unlink(missing_ok=True)  # of a shorter one, which goes on
        if one.run_dir != job.run_dir:
            open_run(directory, own, seed=one.seed, command=command, may_differ=may_differ)
    return asyncio.run(_run_all(job, command))


def _own_config(config: Mapping[str, object], job: TrainRl, training: TrainRl) -> dict[str, object]:
    """The configuration of one training, which may be one of several."""
    if training.run_dir == job.run_dir:
        return dict(config)
    own = dict(config)
    if job.methods:
        name = Path(training.run_dir).relative_to(job.run_dir).parts[0]
        own["credit"] = cast("Mapping[str, object]", config["methods"])[name]
    return own | {
        "methods": {},
        "seeds": [],
        "seed": training.seed,
        "run_dir": training.run_dir,
        "model_dir": training.model_dir,
    }


async def _run_all(job: TrainRl, command: str) -> int:
    console = Console(width=None if sys.stdout.isatty() else 160)
    display = display_for(console)
    missing = [one for one in job.trainings() if not is_finished(one)]
    if not missing:
        display.say(f"{job.run_dir} is finished.")
        _compare(job, console)
        return OK
    stop, start = asyncio.Event(), Start()
    async with running_engines(job.cluster, job.engine, display) as engines:
        with StopOnInterrupt(stop, display):
            for number, training in enumerate(missing, start=1):
                if len(missing) > 1:
                    display.say(f"Training {number} of {len(missing)}: {training.run_dir}")
                if await train(training, engines, stop=stop, start=start) != OK:
                    display.say(f"Stopped; what is done is kept. To go on:\n  {command}")
                    return INTERRUPTED
    _compare(job, console)
    return OK


def _compare(job: TrainRl, console: Console) -> None:
    """Show what several trainings came to."""
    if job.held_out is None or not (job.methods or job.seeds):
        return
    run_dir = Path(job.run_dir)
    own = {Path(one.run_dir) for one in job.trainings()}
    curves = read_curves(run_dir, own)
    results = read_results(run_dir, own)
    summaries = summarize_credits(results, curves, first=next(iter(job.methods), ""))
    console.print(credits_table(summaries))
    console.print(f"Summary: {write_summary(run_dir, summaries)}", highlight=False, markup=False)
    try:
        plot_credits(curves, run_dir / CURVES)
    except ConfigurationError as error:
        console.print(f"{CURVES} is left out: {error}", highlight=False, markup=False)


async def train(
    job: TrainRl,
    engines: Mapping[Role, Engine],
    *,
    stop: asyncio.Event | None = None,
    start: Start | None = None,
) -> int:
    """Train with one credit and one seed on engines that run; they can be used again afterwards.

    Args:
        job: without methods and seeds.
        engines: by role, those of `job.engine`.
        stop: ends the training after the update that is under way; a checkpoint is kept.
        start: of these engines on the same held-out problems, so that several trainings evaluate
            the policy that they start from once. Not used by workers of Ray Train.

    Returns:
        0 if it came to its end, 130 if it was stopped.

    Raises:
        PrmSearchError: if it cannot be done.
    """
    if job.trainer.ray.num_workers:
        from trainers.rl_ray import train_on_ray

        return await train_on_ray(job, engines, stop=stop or asyncio.Event())
    return await train_here(job, engines, stop=stop or asyncio.Event(), start=start)


async def train_here(
    job: TrainRl, engines: Mapping[Role, Engine], *, stop: Stop, start: Start | None = None
) -> int:
    """As `train`, with the trainer in this process, together with those that Ray has started."""
    assert job.credit is not None
    generator = VersionedGenerator(cast("TrainableGenerator", engines[Role.POLICY]))
    scorer = cast("Scorer | None", engines.get(Role.PRM))
    grader = MathGrader(job.grader)
    try:
        num_done = num_updates(latest_checkpoint(Path(job.run_dir)))
        log = RolloutLog(_rollouts(job), num_done=num_done)
        known = log.known | _known_to_others(job, num_done)

        def note(rollout: Rollout) -> None:
            if job.trainer.keep_rollouts:
                log.write(generator.version + 1, rollout)

        if job.search is None:
            batcher = MicroBatcher(job.reward.source(engines, grader), job.batching)
            collector = SampleCollector(generator, KnownRewards(batcher, known), note=note)
        else:
            assert scorer is not None
            collector = TreeCollector(
                generator,
                job.search,
                scorer=scorer,
                grader=grader,
                outcomes=AnswerSource(grader) if Part.outcome in job.reward.gives else None,
                note=note,
            )
        evaluator = None
        if job.held_out is not None:
            evaluator = Evaluator(
                job.held_out.load().problems,
                generator,
                grader,
                search=job.held_out_search,
                scorer=scorer,
                seed=job.seed,
                start=start,
            )
        if not _rank():  # whatever another training has left in the engine
            await generator.restore()
        session = RlSession(
            job,
            collector,
            generator,
            evaluator,
            bridge=Bridge(asyncio.get_running_loop()),
            stop=stop,
        )
        return await asyncio.to_thread(session.run)
    finally:
        grader.close()
        gc.collect()  # a trainer is part of cycles, with all its weights


def _rollouts(job: TrainRl) -> Path:
    """The file of this process."""
    rank = _rank()
    return Path(job.run_dir) / (f"rollouts_{rank}.jsonl" if rank else "rollouts.jsonl")


def _known_to_others(job: TrainRl, num_done: int) -> dict[RewardKey, Reward]:
    """What processes have rewarded that an earlier session had and this one has not.

    Their updates are made again by others, so they are taken out of their files, too.
    """
    known: dict[RewardKey, Reward] = {}
    if _rank() == 0:
        for path in Path(job.run_dir).glob("rollouts_*.jsonl"):
            if int(path.stem.rpartition("_")[2]) >= max(1, job.trainer.ray.num_workers):
                known |= RolloutLog(path, num_done=num_done).known
    return known


def _rank() -> int:
    return int(os.environ.get("RANK", "0"))
