"""The shipped models: small, in the field's formats, and what they are said to be."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from prm_search.evaluation.first_error import predicted_first_error
from prm_search.grading import extract_answer
from prm_search.policy import Policy
from prm_search.prms.prm import Prm
from prm_search.protocols import Until
from prm_search.resolvers import sandbox_model
from prm_search.sandbox.problems import Split, draw_problems
from prm_search.types import Problem, Step, StepScores, Trajectory

NAMES = ("base", "policy", "judge", "prm")
MAX_BYTES = 28 * 10**6


def test_together_they_are_small() -> None:
    files = [path for name in NAMES for path in Path(sandbox_model(name)).iterdir()]
    assert sum(path.stat().st_size for path in files) <= MAX_BYTES
    assert {path.suffix for path in files} <= {".json", ".jinja", ".safetensors"}


def test_all_have_the_same_tokenizer() -> None:
    tokenizers = {(Path(sandbox_model(name)) / "tokenizer.json").read_text() for name in NAMES}
    assert len(tokenizers) == 1


def test_the_prm_is_of_the_architecture_that_vllm_serves() -> None:
    config = json.loads((Path(sandbox_model("prm")) / "config.json").read_text())
    assert config["architectures"] == ["Qwen2ForProcessRewardModel"]


def test_the_base_solves_problems_that_it_has_never_seen() -> None:
    pytest.importorskip("torch")
    from actors.transformers_generator import TransformersGenerator

    problems = draw_problems(Split.test, 10, (1, 2, 3), seed=5)
    generator = TransformersGenerator(policy=Policy(model=sandbox_model("base"), max_tokens=300))

    async def solve() -> list[str | None]:
        await generator.start()
        generations = await asyncio.gather(
            *(
                generator.generate(
                    Trajectory(problem=problem),
                    num_samples=1,
                    until=Until.END,
                    seed=0,
                    temperature=0.0,
                )
                for problem in problems
            )
        )
        await generator.close()
        texts = ["".join(s.text for s in g.continuations[0]) for g in generations]
        return [extract_answer(text) for text in texts]

    answers = asyncio.run(solve())
    right = [answer == problem.answer for answer, problem in zip(answers, problems, strict=True)]
    assert sum(right) >= 9


def test_the_prm_finds_a_first_error() -> None:
    pytest.importorskip("torch")
    from actors.transformers_scorer import TransformersScorer

    problem = Problem(
        id="p",
        prompt=(
            "Some friends count coins. Ann gets 12. Ben gets 7 more than Ann. "
            "Ben got 4 more than Cat. How many coins does Cat have?"
        ),
    )
    right = [
        "Ann: 12 is given, so Ann=12.\n\n",
        "Ben: Ann=12 and 12+7=19, so Ben=19.\n\n",
        "Cat: Ben=19 and 19-4=15, so Cat=15.\n\n",
        "The answer is \\boxed{15}.",
    ]
    trap = [*right[:2], "Cat: Ben=19 and 19+4=23, so Cat=23.\n\n", "The answer is \\boxed{23}."]
    trajectories = [
        Trajectory(problem=problem, steps=tuple(Step(text=text) for text in texts))
        for texts in (right, trap)
    ]
    scorer = TransformersScorer(prm=Prm(model=sandbox_model("prm"), dtype="float32"))

    async def score() -> list[int | None]:
        await scorer.start()
        scoring = await scorer.score(trajectories)
        await scorer.close()
        assert all(isinstance(scores, StepScores) for scores in scoring.scores)
        return [predicted_first_error(s) for s in scoring.scores if isinstance(s, StepScores)]

    assert asyncio.run(score()) == [None, 2]
