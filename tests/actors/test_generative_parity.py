"""Verdicts that were read while writing, against a plain forward over what was written."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch
import transformers

from actors.completion import Completion, Sampling
from actors.generative_scorer import GenerativeScorer
from actors.prompting import decode_pieces
from prm_search.judging.sandbox import render
from prm_search.prms.generative import WrittenVerdict, token_at, unreadable
from prm_search.prms.generative_prm import GenerativePrm
from prm_search.resolvers import sandbox_model
from prm_search.types import Failure, Problem, Step, StepScores, Trajectory

PROMPT = (
    "Some friends count coins. Ned gets 7. Gus gets 4 fewer than Ned. "
    "Ida gets 2 times as many as Gus. How many coins does Ida have?"
)
RIGHT = (
    "Ned: 7 is given, so Ned=7.\n\nGus: Ned=7 and 7-4=3, so Gus=3.\n\n"
    "Ida: Gus=3 and 3*2=6, so Ida=6.\n\nThe answer is \\boxed{6}."
)
WRONG = RIGHT.replace("6", "8")


@dataclass(frozen=True, kw_only=True, slots=True)
class CritiqueLines:
    """The sandbox's judge as a generative PRM, which takes whole solutions as one step."""

    @property
    def verdicts(self) -> tuple[str, str]:
        return " Wrong", " Right"

    def message(self, problem: str, steps: Sequence[str]) -> str:
        return render(problem, steps)

    def read(self, analysis: str) -> WrittenVerdict | Failure:
        verdict = re.search(r"\.( Right| Wrong)\n\\boxed{-?\d}$", analysis)
        if verdict is None:
            return unreadable("it has no last line", analysis)
        return WrittenVerdict(is_right=verdict[1] == " Right", start=verdict.start(1))


PRM = GenerativePrm(
    model=sandbox_model("judge"),
    family=CritiqueLines(),
    num_samples=4,
    temperature=1.0,
    top_p=0.95,
    max_tokens=150,
    dtype="float32",
)


def transformers_scorer(prm: GenerativePrm) -> GenerativeScorer:
    from actors.transformers_options import TransformersOptions
    from actors.transformers_prm import scorer_of

    scorer = scorer_of(prm=prm, options=TransformersOptions(device="cpu"))
    assert isinstance(scorer, GenerativeScorer)
    return scorer


def vllm_scorer(prm: GenerativePrm) -> GenerativeScorer:
    pytest.importorskip("vllm")
    from actors.vllm_options import VllmOptions
    from actors.vllm_prm import scorer_of

    scorer = scorer_of(prm=prm, options=VllmOptions(kv_cache_gib=0.25))
    assert isinstance(scorer, GenerativeScorer)
    return scorer


@pytest.mark.parametrize(
    "make",
    [
        transformers_scorer,
        pytest.param(vllm_scorer, marks=[pytest.mark.slow, pytest.mark.vllm]),
    ],
)
async def test_probabilities_from_writing_are_those_of_a_forward(
    make: Callable[[GenerativePrm], GenerativeScorer],
) -> None:
    scorer = make(PRM)
    await scorer.start()
    try:
        written = record(scorer)
        trajectories = [
            Trajectory(problem=Problem(id="p", prompt=PROMPT), steps=(Step(text=text),))
            for text in (RIGHT, WRONG)
        ]
        scoring = await scorer.score(trajectories)
        again = await scorer.score(trajectories)
    finally:
        await scorer.close()

    assert again.scores == scoring.scores
    expected = expected_scores(scorer, written)
    for scores, text in zip(scoring.scores, (RIGHT, WRONG), strict=True):
        assert isinstance(scores, StepScores), scores
        assert scores.values == pytest.approx([expected[text]], abs=1e-4)
    assert expected[RIGHT] > 0.9 > 0.1 > expected[WRONG]
    assert len(written) == 2 * PRM.num_samples
    num_generated = sum(len(analysis.token_ids) for _, analysis in written)
    assert scoring.usage.generated_tokens == num_generated


def record(scorer: GenerativeScorer) -> list[tuple[tuple[int, ...], Completion]]:
    """What the scorer's engine will be asked for, and what it will write."""
    engine: Any = scorer._engine
    written: list[tuple[tuple[int, ...], Completion]] = []
    complete = engine.complete

    async def recorded(prompt: tuple[int, ...], sampling: Sampling) -> Completion:
        analysis = await complete(prompt, sampling)
        written.append((prompt, analysis))
        return analysis

    engine.complete = recorded
    return written


def expected_scores(
    scorer: GenerativeScorer, written: Sequence[tuple[tuple[int, ...], Completion]]
) -> dict[str, float]:
    """The score for each solution, by forwards of a fresh model over what was written."""
    tokenizer: Any = scorer._tokenizer
    model: Any = transformers.AutoModelForCausalLM.from_pretrained(PRM.model, dtype=torch.float32)
    wrong, right = tokenizer.encode(" Wrong Right")
    found: dict[str, list[float]] = {}
    for prompt, analysis in written:
        pieces = decode_pieces(tokenizer, prompt, analysis.token_ids)
        verdict = PRM.family.read("".join(pieces))
        if isinstance(verdict, Failure):
            continue
        position = token_at(pieces, verdict.start)
        assert position is not None
        tokens = [*prompt, *analysis.token_ids[:position]]
        with torch.no_grad():
            logits = model(torch.tensor([tokens])).logits[0, -1]
        message = tokenizer.decode(prompt, skip_special_tokens=True)
        solution = message.partition("Check:\n")[2]
        found.setdefault(solution, []).append(logits[[wrong, right]].softmax(-1)[1].item())
    return {solution: sum(values) / len(values) for solution, values in found.items()}
