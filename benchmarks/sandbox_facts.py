"""What the sandbox's models can and cannot do, by level of difficulty.

    python -m benchmarks.sandbox_facts            500 test problems
    python -m benchmarks.sandbox_facts --quick    100 test problems

Greedy accuracy of base and policy; pass@16 and majority@16 of the policy; the share of its right
answers that have a flawed step (the oracle knows); the first-error accuracy and F1 of the PRM and
the judge on its samples. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from actors.inprocess import InProcessCluster
from actors.vllm_generator import VllmGenerator
from actors.vllm_judge import VllmJudge
from actors.vllm_options import VllmOptions
from actors.vllm_scorer import VllmScorer
from benchmarks.job import console
from prm_search.budget import Role
from prm_search.evaluation.first_error import (
    FirstErrorScore,
    predicted_first_error,
    score_first_errors,
)
from prm_search.grading import extract_answer
from prm_search.judging.judge import JudgeModel
from prm_search.judging.sandbox import SandboxCritique
from prm_search.policy import Policy
from prm_search.prms.prm import Prm
from prm_search.protocols import Generator, Until
from prm_search.resolvers import sandbox_model
from prm_search.sandbox.oracle import first_error
from prm_search.sandbox.problems import SandboxProblems
from prm_search.sandbox.world import LEVELS
from prm_search.seeds import derive_seed
from prm_search.types import Failure, Problem, StepScores, Trajectory, Verdict

NUM_SAMPLES = 16
NUM_CHECKED = 4
"""Samples of each problem that PRM and judge are asked about."""

Choose = Callable[[Problem], bool]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """A solution of the policy and what is true of it."""

    trajectory: Trajectory
    answer: str | None
    first_error: int | None

    @property
    def is_right(self) -> bool:
        """Whether the final answer is right."""
        return self.answer == self.trajectory.problem.answer


async def draw(
    generator: Generator, problems: Sequence[Problem], num_samples: int, temperature: float | None
) -> list[list[Sample]]:
    """Whole solutions of each problem. [num_problems, num_samples]"""

    async def solve(problem: Problem) -> list[Sample]:
        generation = await generator.generate(
            Trajectory(problem=problem),
            num_samples=num_samples,
            until=Until.END,
            seed=derive_seed(0, problem.id),
            temperature=temperature,
        )
        trajectories = [
            Trajectory(problem=problem).extend(*steps) for steps in generation.continuations
        ]
        return [
            Sample(
                trajectory=item,
                answer=extract_answer(item.text),
                first_error=first_error(problem.prompt, [step.content for step in item.steps]),
            )
            for item in trajectories
        ]

    return list(await asyncio.gather(*map(solve, problems)))


def majority_is_right(samples: Sequence[Sample]) -> bool:
    """Whether the most frequent answer is right; the first one wins a tie."""
    answers = [sample.answer for sample in samples if sample.answer is not None]
    winner = max(answers, key=answers.count, default=None)
    return winner is not None and winner == samples[0].trajectory.problem.answer


def share(values: Sequence[bool]) -> float:
    """The share that is true; 0 of nothing."""
    return sum(values) / len(values) if values else 0.0


async def measure(num_problems: int) -> dict[str, Any]:
    """Run all models on the same problems, and sum up overall and by level."""
    problems = list(SandboxProblems(num_problems=num_problems).load().problems)
    options = VllmOptions()

    def policy(name: str) -> Policy:
        return Policy(model=sandbox_model(name), max_tokens=500)

    async with InProcessCluster() as cluster:
        base = await cluster.launch(
            lambda: VllmGenerator(policy=policy("base"), options=options), Role.POLICY
        )
        base_greedy = await draw(base, problems, 1, 0.0)
    async with InProcessCluster() as cluster:
        generator = await cluster.launch(
            lambda: VllmGenerator(policy=policy("policy"), options=options), Role.POLICY
        )
        greedy = await draw(generator, problems, 1, 0.0)
        samples = await draw(generator, problems, NUM_SAMPLES, None)
    checked = [sample for group in samples for sample in group[:NUM_CHECKED]]
    checked = [sample for sample in checked if sample.trajectory.steps]
    async with InProcessCluster() as cluster:
        scorer = await cluster.launch(
            lambda: VllmScorer(prm=Prm(model=sandbox_model("prm")), options=options), Role.PRM
        )
        scorings = await asyncio.gather(*(scorer.score([s.trajectory]) for s in checked))
        scores = [scoring.scores[0] for scoring in scorings]
    async with InProcessCluster() as cluster:
        model = JudgeModel(model=sandbox_model("judge"), template=SandboxCritique(), max_tokens=500)
        judge = await cluster.launch(lambda: VllmJudge(judge=model, options=options), Role.JUDGE)
        judgements = await asyncio.gather(
            *(judge.judge(sample.trajectory, num_votes=1, seed=0) for sample in checked)
        )
        verdicts = [judgement.verdicts[0] for judgement in judgements]

    def row(choose: Choose) -> dict[str, Any]:
        groups = [group for group in samples if choose(group[0].trajectory.problem)]
        right = [sample for group in groups for sample in group if sample.is_right]

        def greedy_accuracy(drawn: Sequence[Sequence[Sample]]) -> float:
            return share([g[0].is_right for g in drawn if choose(g[0].trajectory.problem)])

        prm = _by_prm(checked, scores, choose)
        by_judge, num_failed = _by_judge(checked, verdicts, choose)
        return {
            "base.greedy": greedy_accuracy(base_greedy),
            "policy.greedy": greedy_accuracy(greedy),
            "policy.pass_at_16": share([any(s.is_right for s in group) for group in groups]),
            "policy.majority_at_16": share([majority_is_right(group) for group in groups]),
            "policy.right_but_flawed": share([s.first_error is not None for s in right]),
            "prm.f1": prm.f1,
            "prm.error_accuracy": prm.error_accuracy,
            "prm.correct_accuracy": prm.correct_accuracy,
            "judge.f1": by_judge.f1,
            "judge.error_accuracy": by_judge.error_accuracy,
            "judge.correct_accuracy": by_judge.correct_accuracy,
            "judge.unreadable": num_failed,
            "num_problems": len(groups),
        }

    rows = {"all": row(lambda _: True)}
    for level in LEVELS:
        rows[f"level_{level}"] = row(
            lambda problem, level=level: problem.metadata["level"] == level
        )
    return rows


def _by_prm(
    samples: Sequence[Sample], scores: Sequence[StepScores | Failure], choose: Choose
) -> FirstErrorScore:
    pairs = [
        (predicted_first_error(score), sample.first_error)
        for sample, score in zip(samples, scores, strict=True)
        if isinstance(score, StepScores) and choose(sample.trajectory.problem)
    ]
    return score_first_errors([first for first, _ in pairs], [second for _, second in pairs])


def _by_judge(
    samples: Sequence[Sample], verdicts: Sequence[Verdict | Failure], choose: Choose
) -> tuple[FirstErrorScore, int]:
    chosen = [
        (verdict, sample.first_error)
        for sample, verdict in zip(samples, verdicts, strict=True)
        if choose(sample.trajectory.problem)
    ]
    read = [(v.first_error, true) for v, true in chosen if isinstance(v, Verdict)]
    score = score_first_errors([first for first, _ in read], [second for _, second in read])
    return score, len(chosen) - len(read)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer problems")
    parser.add_argument("--num-problems", type=int)
    arguments = parser.parse_args()
    rows = asyncio.run(measure(arguments.num_problems or (100 if arguments.quick else 500)))
    table = Table("", *rows)
    for name in rows["all"]:
        table.add_row(name, *(_shown(row[name]) for row in rows.values()))
    console.print(table)
    print(json.dumps(rows))


def _shown(value: float | int) -> str:
    return f"{100 * value:.1f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
