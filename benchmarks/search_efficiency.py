"""What guided search costs, beside what it cannot cost less than, and what it gains.

    python -m benchmarks.search_efficiency            every search; N=16, 64 and 256
    python -m benchmarks.search_efficiency --quick    beam and best-of-N; N=16; within 6 minutes
    python -m benchmarks.search_efficiency --table    the table of docs/sandbox.md: beam and
                                                      best-of-N; N=16; 200 problems, 3 seeds

On the same engines, in one run, for each search and each N:

* accuracy, against majority vote over at least as many policy tokens on every single problem,
  but for the share of problems on which there were no more samples (`majority_short_share`);
* policy tokens, and PRM tokens computed and cached. `prm_tokens_over_limit` is what was computed
  over 1.05 × (each question once, each new step once, half a block of the key-value cache per
  scored step); `prm_tokens_over_recompute` is over what recomputing every prefix costs;
* wall time, and over that of one plain batch generation of as many tokens and one plain scoring
  pass over the same new tokens (`wall_ratio`); the share of it in which the policy, or the PRM, had
  no request; as a share of it, what the controller's process and Ray's own processes computed
  (`controller_share`, `ray_share`; unpickling within the engines' actors is theirs);
* for the searches named by --lock-step: the same in lock-step, with a barrier per depth over all
  problems and every prefix recomputed (`lock_step.…`).

The more samples, the fewer problems, so that each N costs about the same. Names without @ are those
of the smallest N. The last line is one JSON object.

What the controller's process does, as a flame graph (pip install py-spy):

    py-spy record --gil -o controller.svg -- python -m benchmarks.search_efficiency --quick
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import psutil

from benchmarks.efficiency_figures import (
    Clocks,
    PlainRates,
    clock_figures,
    compare,
    comparison_figures,
    generated_tokens,
    lock_step_figures,
    scored_tokens,
    token_figures,
)
from benchmarks.efficiency_methods import MAJORITY, methods, with_majority
from benchmarks.idleness import WatchedGenerator, WatchedScorer
from benchmarks.job import Bench, Record, compose_job, console, engines, prm_of, timed_run
from benchmarks.lock_step import LockStep
from prm_search.job import SearchJob, needs_scorer
from prm_search.protocols import SearchAlgorithm, Until
from prm_search.seeds import derive_seed
from prm_search.types import Problem, Trajectory

IN_LOCK_STEP = ["beam", "dvts", "rebase", "mcts"]
RECOMPUTE = "++engine.scorer.options.reuse_prefixes=false"
PLAIN_SAMPLES, PLAIN_REQUESTS = 16, 512
"""Of each problem, and of all problems together, at least: enough for full batches."""
RAY_PROCESSES = frozenset({"raylet", "gcs_server"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What is to be measured."""

    methods: list[str]
    """Majority vote first."""
    lock_step: list[str]
    num_samples: list[int]
    num_problems: int
    """For the smallest N; fewer for the others."""
    num_seeds: int

    def problems_at(self, num_samples: int) -> int:
        """How many problems are searched with N samples."""
        return max(4, self.num_problems * min(self.num_samples) // num_samples)

    def key(self, name: str, num_samples: int) -> str:
        """How a search is named in the result."""
        return name if num_samples == min(self.num_samples) else f"{name}@{num_samples}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """All seeds of one search with one N."""

    records: list[list[Record]]
    """[num_seeds][num_problems]"""
    clocks: Clocks

    @property
    def all_records(self) -> list[Record]:
        """Of all seeds."""
        return [record for records in self.records for record in records]


async def plain_rates(bench: Bench, problems: Sequence[Problem]) -> PlainRates:
    """Tokens per second of plain batch generation, and of plain scoring of whole solutions.

    All requests are handed over at once, and nothing depends on anything.
    """
    num_samples = max(PLAIN_SAMPLES, -(-PLAIN_REQUESTS // len(problems)))
    started = time.perf_counter()
    generations = await asyncio.gather(
        *(
            bench.generator.generate(
                Trajectory(problem=problem),
                num_samples=num_samples,
                until=Until.END,
                seed=derive_seed(0, problem.id),
            )
            for problem in problems
        )
    )
    generated = sum(generation.usage.generated_tokens for generation in generations)
    generation_rate = generated / (time.perf_counter() - started)
    solutions = [
        Trajectory(problem=problem).extend(*steps)
        for problem, generation in zip(problems, generations, strict=True)
        for steps in generation.continuations
    ]
    started = time.perf_counter()
    scorings = await asyncio.gather(*(bench.scorer.score([item]) for item in solutions))
    scored = sum(scoring.usage.scored_tokens for scoring in scorings)
    return PlainRates(generation=generation_rate, scoring=scored / (time.perf_counter() - started))


def ray_seconds() -> float:
    """What the processes of Ray itself, that this process has started, have computed so far."""
    found = 0.0
    for process in psutil.Process().children(recursive=True):
        try:
            if process.name() in RAY_PROCESSES:
                times = process.cpu_times()
                found += times.user + times.system
        except psutil.NoSuchProcess:
            continue
    return found


async def all_seeds(
    bench: Bench,
    problems: Sequence[Problem],
    algorithm: SearchAlgorithm,
    name: str,
    num_seeds: int,
) -> Run:
    """Search all problems with each seed."""
    runs: list[list[Record]] = []
    clocks = Clocks(wall=0.0, controller=0.0, ray=0.0, policy_idle=0.0, prm_idle=0.0)
    for seed in range(num_seeds):
        policy = WatchedGenerator(generator=bench.generator)
        prm = WatchedScorer(scorer=bench.scorer)
        watched = replace(bench, generator=policy, scorer=prm)
        computed, ray_computed = time.process_time(), ray_seconds()
        records, seconds = await timed_run(watched, problems, algorithm, name, seed)
        clocks += Clocks(
            wall=seconds,
            controller=time.process_time() - computed,
            ray=ray_seconds() - ray_computed,
            policy_idle=seconds * policy.clock.idle_share(seconds),
            prm_idle=seconds * prm.clock.idle_share(seconds),
        )
        runs.append(records)
    return Run(records=runs, clocks=clocks)


async def run_all(
    plan: Plan, bench: Bench, problems: Sequence[Problem]
) -> dict[tuple[str, int], Run]:
    """Every search with every N, on engines that run."""
    return {
        (name, num): await all_seeds(
            bench,
            problems[: plan.problems_at(num)],
            methods(num)[name],
            plan.key(name, num),
            plan.num_seeds,
        )
        for num in plan.num_samples
        for name in plan.methods
    }


async def run_in_lock_step(
    plan: Plan, bench: Bench, problems: Sequence[Problem]
) -> dict[tuple[str, int], Run]:
    """The searches to be run in lock-step, on engines that recompute every prefix."""
    return {
        (name, num): await all_seeds(
            bench,
            problems[: plan.problems_at(num)],
            LockStep(algorithm=methods(num)[name]),
            f"{plan.key(name, num)} in lock-step",
            plan.num_seeds,
        )
        for num in plan.num_samples
        for name in plan.lock_step
    }


def figures(
    plan: Plan,
    job: SearchJob,
    runs: Mapping[tuple[str, int], Run],
    lock_step: Mapping[tuple[str, int], Run],
    rates: PlainRates,
) -> dict[str, Any]:
    """The result."""
    result: dict[str, Any] = {}
    for (name, num), run in runs.items():
        votes = runs[MAJORITY, num].records
        records, has_prm = run.all_records, needs_scorer(methods(num)[name])
        found = {"num_problems": len(run.records[0])}
        if name != MAJORITY:
            pairs = zip(range(plan.num_seeds), run.records, votes, strict=True)
            found |= comparison_figures(compare(list(pairs)))
        counted = scored_tokens(records, prm_of(job)) if has_prm else None
        found |= token_figures(counted) if counted else {}
        found |= clock_figures(
            run.clocks,
            rates,
            generated=generated_tokens(records),
            scored=counted.new if counted else 0,
            has_prm=has_prm,
        )
        if (name, num) in lock_step:
            slow = lock_step[name, num]
            found |= lock_step_figures(run.clocks.wall, slow.clocks, slow.all_records, records)
        result |= {f"{plan.key(name, num)}.{key}": value for key, value in found.items()}
    if "weighted_best_of_n" in plan.methods:
        # The first samples are the same for every N, so these are as many as the others draw.
        result["majority.accuracy"] = result["weighted_best_of_n.majority_accuracy"]
    result |= {
        "plain.generated_tokens_per_second": rates.generation,
        "plain.scored_tokens_per_second": rates.scoring,
        "num_samples": min(plan.num_samples),
        "num_problems": plan.num_problems,
        "num_seeds": plan.num_seeds,
    }
    if "beam" in plan.methods:
        result["plain.seconds"] = result["beam.plain_seconds"]
    return {
        key: round(value, 4) if isinstance(value, float) else value for key, value in result.items()
    }


async def measure(plan: Plan, overrides: Sequence[str]) -> dict[str, Any]:
    """Run everything, with two pairs of engines, one after the other."""
    size = f"data.num_problems={plan.num_problems}"
    job = compose_job(size, *overrides)
    problems = job.data.load().problems
    others = compose_job(size, "data.seed=1000", *overrides).data.load().problems
    async with engines(job) as bench:
        rates = await plain_rates(bench, others)
        runs = await run_all(plan, bench, problems)
    lock_step: dict[tuple[str, int], Run] = {}
    if plan.lock_step:
        async with engines(compose_job(size, RECOMPUTE, *overrides)) as bench:
            lock_step = await run_in_lock_step(plan, bench, problems)
    return figures(plan, job, runs, lock_step, rates)


def plan_of(arguments: argparse.Namespace) -> Plan:
    """What the command line asks for."""
    is_short = arguments.quick or arguments.table
    names = ["beam", "weighted_best_of_n"] if is_short else list(methods(16))
    names = arguments.methods or names
    in_lock_step = [] if arguments.table else IN_LOCK_STEP
    if arguments.lock_step is not None:
        in_lock_step = arguments.lock_step
    num_problems = 200 if arguments.table else 60 if arguments.quick else 100
    return Plan(
        methods=with_majority(names),
        lock_step=[name for name in in_lock_step if name in names],
        num_samples=sorted(arguments.num_samples or ([16] if is_short else [16, 64, 256])),
        num_problems=arguments.num_problems or num_problems,
        num_seeds=arguments.num_seeds or (3 if arguments.table else 1),
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="two searches, one N, fewer problems")
    size.add_argument("--table", action="store_true", help="two searches, one N, three seeds")
    parser.add_argument("--methods", nargs="+", choices=[*methods(16)], help="searches to run")
    parser.add_argument("--num-samples", nargs="+", type=int, help="multiples of 8")
    parser.add_argument("--lock-step", nargs="*", choices=IN_LOCK_STEP, help="may be none")
    parser.add_argument("--num-problems", type=int, help="for the smallest N")
    parser.add_argument("--num-seeds", type=int)
    parser.add_argument("overrides", nargs="*", help="settings, as for prm-search search; after --")
    arguments = parser.parse_args()
    result = asyncio.run(measure(plan_of(arguments), arguments.overrides))
    for key, value in result.items():
        console.print(f"{key:<50} {value}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
