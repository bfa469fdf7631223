"""What the rewards of a PRM add to an update of a policy.

    python -m benchmarks.rl_step            24 updates with each reward
    python -m benchmarks.rl_step --quick     8 updates with each reward

Trains the sandbox's policy on the same two engines, in turns of four updates: with the answers
alone, and with a PRM beside them. The rollouts of both are the same in a turn's first update;
later ones differ as the policies do, so times are compared per generated token as well.

* `hidden_scoring_share`: of the time in which something was being scored, the share in which
  something was being sampled as well. Mean over updates.
* `step_time_ratio`: seconds of an update with the PRM over those with the answers alone; medians.
* `step_time_ratio_per_token`: the same of seconds per generated token.
* `seconds.*`: medians of the parts of an update with the PRM.

The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean, median
from typing import Any, cast

from benchmarks.job import console
from prm_search.composition import compose
from prm_search.progress import display_for
from prm_search.rewards.credit import GroupCredit
from prm_search.rewards.recipes import AnswerReward
from prm_search.rl.command import rl_job
from prm_search.run_session import running_engines
from trainers.rl import train
from trainers.rl_job import TrainRl

UPDATES_PER_TURN = 4
_PARTS = ("sampling", "exposed_scoring", "training", "handover")

Update = Mapping[str, float]


def compose_rl_job(folder: Path, *overrides: str) -> TrainRl:
    """The training of `prm-search train-rl experiment=sandbox_rl` with further overrides."""
    config = compose("train-rl", ["experiment=sandbox_rl", f"run_dir={folder}", *overrides])
    job = cast("TrainRl", rl_job(config))
    return replace(job, held_out=None)


def variants(job: TrainRl) -> dict[str, TrainRl]:
    """The job with the PRM's rewards, and with the answers alone."""
    alone = replace(job, reward=AnswerReward(), credit=GroupCredit(process=None))
    return {"prm": job, "answers": alone}


async def measure(job: TrainRl, num_turns: int, folder: Path) -> dict[str, list[Update]]:
    """The metrics of all updates of both variants but for the first turn, which warms up."""
    found: dict[str, list[Update]] = {"prm": [], "answers": []}
    async with running_engines(job.cluster, job.engine, display_for(console)) as engines:
        for turn in range(num_turns + 1):
            for name, variant in variants(job).items():
                run_dir = folder / f"{name}_{turn}"
                settings = replace(variant.trainer, num_updates=UPDATES_PER_TURN)
                training = replace(
                    variant,
                    trainer=settings,
                    seed=turn,
                    run_dir=str(run_dir),
                    model_dir=str(run_dir / "model"),
                )
                await train(training, engines)
                if turn:
                    found[name] += read_updates(run_dir)
    return found


def read_updates(run_dir: Path) -> list[Update]:
    """The metrics of the updates of a training."""
    lines = map(json.loads, (run_dir / "metrics.jsonl").read_text().splitlines())
    return [line for line in lines if "loss" in line]


def seconds(update: Update) -> float:
    """How long an update took, without what is done between updates."""
    return sum(update[f"seconds_{part}"] for part in _PARTS)


def figures(found: Mapping[str, Sequence[Update]]) -> dict[str, Any]:
    """The result."""
    prm, answers = found["prm"], found["answers"]

    def per_token(updates: Sequence[Update]) -> float:
        return median(seconds(one) / one["generated_tokens"] for one in updates)

    return {
        "hidden_scoring_share": fmean(one["hidden_scoring_share"] for one in prm),
        "step_time_ratio": median(map(seconds, prm)) / median(map(seconds, answers)),
        "step_time_ratio_per_token": per_token(prm) / per_token(answers),
        "num_updates": len(prm),
        "generated_tokens_per_update": fmean(one["generated_tokens"] for one in prm),
        **{f"seconds.{part}": median(one[f"seconds_{part}"] for one in prm) for part in _PARTS},
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="8 updates with each reward")
    parser.add_argument("overrides", nargs="*", help="settings of train-rl: cluster=inprocess")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        job = compose_rl_job(Path(folder), *arguments.overrides)
        num_turns = 2 if arguments.quick else 6
        found = asyncio.run(measure(job, num_turns, Path(folder)))
    print(json.dumps(figures(found)))


if __name__ == "__main__":
    main()
