"""PRMs trained here score the same in Transformers and in stock vLLM."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from prm_search.data.stepwise import StepwiseRow, write_stepwise
from prm_search.prms.family import PrmFamily
from prm_search.prms.prm import Prm
from prm_search.prms.tagged_head import TaggedHead
from prm_search.prms.verdict_tokens import VerdictTokens
from prm_search.resolvers import sandbox_model
from prm_search.sandbox.oracle import check_steps
from prm_search.sandbox.problems import LEVELS, Split, draw_split_world
from prm_search.sandbox.solutions import Flaws, write_solution
from prm_search.sandbox.wording import write_problem
from prm_search.types import Problem, Step, StepScores, Trajectory
from trainers.prm_job import TrainPrm, WeightsDtype
from trainers.prm_settings import LabelFiles, Optimizer, Precision, Trainer

vllm_scorer = pytest.importorskip("actors.vllm_scorer")
transformers_scorer = pytest.importorskip("actors.transformers_scorer")
vllm_options = pytest.importorskip("actors.vllm_options")

pytestmark = [pytest.mark.slow, pytest.mark.vllm]

NUM_SOLUTIONS = 200


def write_solutions() -> list[StepwiseRow]:
    rng = random.Random(0)
    rows: list[StepwiseRow] = []
    for number in range(NUM_SOLUTIONS):
        world = draw_split_world(rng, LEVELS[number % len(LEVELS)], Split.train)
        problem, steps = write_problem(world), tuple(write_solution(world, rng, Flaws()))
        labels = tuple(error is None for error in check_steps(problem, steps))
        rows.append(StepwiseRow(prompt=problem, completions=steps, labels=labels))
    return rows


@pytest.mark.parametrize(
    "family", [TaggedHead(), VerdictTokens(tag="<extra_0>")], ids=["head", "token"]
)
async def test_scores_are_the_same_in_both_engines(family: PrmFamily, tmp_path: Path) -> None:
    rows = write_solutions()
    write_stepwise(tmp_path / "labels.jsonl", rows)
    job = TrainPrm(
        model=sandbox_model("base"),
        family=family,
        data=LabelFiles(path=str(tmp_path / "labels.jsonl")),
        trainer=Trainer(
            optimizer=Optimizer(learning_rate=1e-3, num_steps=3),
            tokens_per_step=4000,
            precision=Precision.float32,
        ),
        weights_dtype=WeightsDtype.float32,
        run_dir=str(tmp_path / "run"),
        model_dir=str(tmp_path / "model"),
    )
    assert job.run(config={}, command="") == 0

    prm = Prm(model=job.model_dir, family=family, dtype="float32")
    options = vllm_options.VllmOptions(kv_cache_gib=0.25)
    trajectories = [
        Trajectory(
            problem=Problem(id=str(number), prompt=row.prompt),
            steps=tuple(Step(text=f"{step}\n\n") for step in row.steps),
        )
        for number, row in enumerate(rows)
    ]
    values: list[list[float]] = []
    for scorer in (
        transformers_scorer.TransformersScorer(prm=prm),
        vllm_scorer.VllmScorer(prm=prm, options=options),
    ):
        await scorer.start()
        try:
            scoring = await scorer.score(trajectories)
        finally:
            await scorer.close()
        scores = [item for item in scoring.scores if isinstance(item, StepScores)]
        assert len(scores) == NUM_SOLUTIONS
        values.append([value for item in scores for value in item.values])
    assert values[0] == pytest.approx(values[1], abs=1e-4)
    assert max(values[0]) - min(values[0]) > 0.01
