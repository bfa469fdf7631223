"""How good a policy is while it is trained: greedy answers, and what stands behind them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from prm_search.budget import UNLIMITED
from prm_search.concurrency import gather_all
from prm_search.errors import GradingError
from prm_search.evaluation.oracles import first_error_oracle
from prm_search.protocols import Generator, Grader, Scorer, SearchAlgorithm, Until
from prm_search.types import Problem, StopReason, Trajectory


@dataclass(frozen=True, kw_only=True, slots=True)
class Graded:
    """What became of one problem."""

    problem_id: str
    is_right: bool | None
    """Whether the final answer is the reference answer; None if that cannot be told."""
    is_sound: bool | None
    """Whether all steps are right; None if nobody can tell."""
    num_steps: int
    num_tokens: int


async def evaluate_greedy(
    generator: Generator, grader: Grader, problems: Sequence[Problem]
) -> tuple[Graded, ...]:
    """Greedy solutions of some problems, graded. [num_problems]

    Args:
        generator: the policy.
        grader: compares answers.
        problems: with reference answers.

    Raises:
        EngineError: if an engine failed.
    """

    async def solve(problem: Problem) -> Graded:
        generation = await generator.generate(
            Trajectory(problem=problem), num_samples=1, until=Until.END, seed=0, temperature=0
        )
        return await grade(grader, Trajectory(problem=problem, steps=generation.continuations[0]))

    return await gather_all(map(solve, problems))


async def evaluate_search(
    search: SearchAlgorithm,
    generator: Generator,
    scorer: Scorer | None,
    grader: Grader,
    problems: Sequence[Problem],
    *,
    seed: int,
) -> tuple[Graded, ...]:
    """What a search finds for some problems, graded; see `evaluate_greedy`.

    A problem for which the search found nothing counts as wrong.
    """

    async def solve(problem: Problem) -> Graded:
        result = await search(
            problem,
            generator=generator,
            scorer=scorer,
            grader=grader,
            budget=UNLIMITED,
            seed=seed,
        )
        if result.best is None:
            known = problem.metadata.get("oracle") is not None
            return Graded(
                problem_id=problem.id,
                is_right=False,
                is_sound=False if known else None,
                num_steps=0,
                num_tokens=0,
            )
        return await grade(grader, result.best.trajectory)

    return await gather_all(map(solve, problems))


async def grade(grader: Grader, trajectory: Trajectory) -> Graded:
    """Grade a solution against the reference answer, and its steps if an oracle knows them."""
    problem = trajectory.problem
    answer = grader.extract(trajectory.text)
    is_right: bool | None
    try:
        is_right = (
            problem.answer is not None
            and answer is not None
            and trajectory.stop_reason is StopReason.END
            and await grader.equivalent(answer, problem.answer)
        )
    except GradingError:  # of one answer: no reason to end a training
        is_right = None
    oracle = first_error_oracle(problem.metadata.get("oracle"))
    steps = [step.content for step in trajectory.steps if step.content]
    return Graded(
        problem_id=problem.id,
        is_right=is_right,
        is_sound=None if oracle is None else oracle(problem.prompt, steps) is None,
        num_steps=len(steps),
        num_tokens=trajectory.num_tokens,
    )


def summarize(graded: Sequence[Graded]) -> dict[str, float]:
    """Metrics of solutions, at least one.

    Returns:
        accuracy: share of problems whose answer is right, among those that could be graded.
        ungradable: share of those that could not, if there are any.
        steps_per_response, tokens_per_response: means.
        verified: share of problems whose answer and steps are all right, among those that could
            be graded; where an oracle knows.
        verified_share: share of the right answers whose steps are all right; likewise.

    Raises:
        GradingError: if no answer could be graded.
    """
    known = [one for one in graded if one.is_right is not None]
    if not known:
        raise GradingError(f"none of the {len(graded)} answers could be graded")
    right = [one for one in known if one.is_right]
    metrics = {
        "accuracy": len(right) / len(known),
        "steps_per_response": math.fsum(one.num_steps for one in graded) / len(graded),
        "tokens_per_response": math.fsum(one.num_tokens for one in graded) / len(graded),
    }
    if all(one.is_sound is not None for one in graded):
        num_sound = sum(bool(one.is_sound) for one in right)
        metrics["verified"] = num_sound / len(known)
        if right:
            metrics["verified_share"] = num_sound / len(right)
    if len(known) < len(graded):
        metrics["ungradable"] = (len(graded) - len(known)) / len(graded)
    return metrics
