"""What the labeling benchmarks share: engines, responses of the sandbox policy, timed labeling."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

from benchmarks.job import console
from prm_search.budget import Role
from prm_search.composition import compose
from prm_search.concurrency import gather_all
from prm_search.engines import Engine
from prm_search.grading import MathGrader
from prm_search.labeling.annotation import Annotation, Annotator, Response
from prm_search.labeling.label_job import LabelJob, label_job
from prm_search.progress import display_for
from prm_search.protocols import Generator, Grader, Judge, Until
from prm_search.run_session import running_engines
from prm_search.seeds import derive_seed
from prm_search.types import Generation, Problem, Trajectory

MAX_IN_FLIGHT = 512
"""Responses labeled at the same time."""


def compose_label_job(*overrides: str) -> LabelJob:
    """The job of `prm-search label label=consensus` on the sandbox, in this process.

    Raises:
        ConfigurationError: if it is incomplete or impossible.
    """
    sandbox = ["data=sandbox", "policy=sandbox", "judge=sandbox", "cluster=inprocess"]
    config = compose("label", ["label=consensus", *sandbox, "run_dir=unused", *overrides])
    return label_job(config, name="consensus")


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelBench:
    """Running engines, and a grader."""

    completer: Generator
    judge: Judge
    grader: Grader
    engines: Sequence[Engine]

    async def reset_cache(self) -> None:
        """Let the engines forget what they computed."""
        await gather_all(engine.reset_cache() for engine in self.engines)


@asynccontextmanager
async def label_engines(job: LabelJob) -> AsyncGenerator[LabelBench, None]:
    """Start a policy and a judge side by side."""
    assert job.engine.judge is not None
    factories = {Role.POLICY: job.engine.generator, Role.JUDGE: job.engine.judge}
    grader = MathGrader(job.grader)
    try:
        async with running_engines(job.cluster, factories, display_for(console)) as running:
            yield LabelBench(
                completer=cast("Generator", running[Role.POLICY]),
                judge=cast("Judge", running[Role.JUDGE]),
                grader=grader,
                engines=tuple(running.values()),
            )
    finally:
        grader.close()


async def sample_responses(
    generator: Generator, problems: Sequence[Problem], *, num_responses: int, seed: int = 0
) -> list[Response]:
    """The different responses of the policy to each problem, of so many samples."""

    async def sample(problem: Problem) -> list[Response]:
        generation = await generator.generate(
            Trajectory(problem=problem),
            num_samples=num_responses,
            until=Until.END,
            seed=derive_seed(seed, "responses", problem.id),
        )
        trajectories = [
            Trajectory(problem=problem).extend(*steps) for steps in generation.continuations
        ]
        distinct = {item.text: item for item in trajectories if item.steps}
        return [
            Response(id=f"{problem.id}/{index}", trajectory=trajectory)
            for index, trajectory in enumerate(distinct.values())
        ]

    return [response for group in await gather_all(map(sample, problems)) for response in group]


async def annotate_all(
    annotator: Annotator, responses: Sequence[Response], bench: LabelBench
) -> tuple[list[Annotation], float]:
    """Label all responses side by side, beginning with empty caches.

    Returns:
        The annotations in the order of the responses, and the wall time in seconds.
    """
    await bench.reset_cache()
    places = asyncio.Semaphore(MAX_IN_FLIGHT)

    async def annotate(response: Response) -> Annotation:
        async with places:
            return await annotator(
                response,
                completer=bench.completer,
                judge=bench.judge,
                grader=bench.grader,
                seed=0,
            )

    started = time.perf_counter()
    annotations = await gather_all(map(annotate, responses))
    return list(annotations), time.perf_counter() - started


@dataclass(kw_only=True, slots=True)
class RememberingCompleter:
    """Draws each rollout once, whoever asks for it and how often."""

    completer: Generator
    _drawn: dict[tuple[str, str, int], asyncio.Task[Generation]] = field(default_factory=dict)
    """By problem, text of the prefix, and seed."""
    requests: list[tuple[Trajectory, int]] = field(default_factory=list)
    """Prefix and seed of each rollout that was drawn."""

    async def generate(
        self,
        prefix: Trajectory,
        *,
        num_samples: int,
        until: Until,
        seed: int,
        temperature: float | None = None,
    ) -> Generation:
        """Continue a prefix; see `prm_search.protocols.Generator`."""
        key = (prefix.problem.id, prefix.text, seed)
        if key not in self._drawn:
            self.requests.append((prefix, seed))
            self._drawn[key] = asyncio.create_task(
                self.completer.generate(
                    prefix,
                    num_samples=num_samples,
                    until=until,
                    seed=seed,
                    temperature=temperature,
                )
            )
        return await asyncio.shield(self._drawn[key])


async def replay(completer: Generator, requests: Sequence[tuple[Trajectory, int]]) -> float:
    """Draw the same rollouts all at once, as one plain batch.

    Returns:
        Wall time in seconds.
    """
    started = time.perf_counter()
    await gather_all(
        completer.generate(prefix, num_samples=1, until=Until.END, seed=seed)
        for prefix, seed in requests
    )
    return time.perf_counter() - started
