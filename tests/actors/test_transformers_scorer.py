"""PRMs run by transformers, against a straight forward of the library."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoModelForTokenClassification, AutoTokenizer

from actors.transformers_options import TransformersOptions
from actors.transformers_scorer import TransformersScorer
from prm_search.errors import EngineError
from prm_search.prms.prm import Prm
from prm_search.prms.rendering import renderer_of
from prm_search.prms.tagged_head import TaggedHead
from prm_search.protocols import Scorer
from prm_search.types import Failure, StepScores, Trajectory
from tests.actors.shells import CPU, PROMPT, TEXTS, prefix_of


@pytest.fixture
async def scorer(tiny_prm: Path) -> AsyncIterator[TransformersScorer]:
    scorer = TransformersScorer(prm=Prm(model=str(tiny_prm), dtype="float32"), options=CPU)
    await scorer.start()
    yield scorer
    await scorer.close()


@torch.inference_mode()
def reference_scores(tiny_prm: Path, trajectory: Trajectory) -> list[float]:
    """The PRM, written down straight."""
    render = renderer_of(TaggedHead(), AutoTokenizer.from_pretrained(tiny_prm))
    (solution,) = render(trajectory.problem.prompt, [step.text for step in trajectory.steps])
    weights = load_file(tiny_prm / "model.safetensors")
    model = AutoModelForCausalLM.from_pretrained(tiny_prm, dtype=torch.float32).model
    hidden = model(torch.tensor([solution.token_ids])).last_hidden_state[0]
    hidden = torch.relu(hidden @ weights["score.0.weight"].T + weights["score.0.bias"])
    logits = hidden @ weights["score.2.weight"].T + weights["score.2.bias"]
    return [float(logits[position].softmax(-1)[1]) for position in solution.positions]


async def test_scores_are_those_of_a_straight_forward(
    scorer: TransformersScorer, tiny_prm: Path
) -> None:
    assert isinstance(scorer, Scorer)
    trajectories = [prefix_of(*TEXTS[:length]) for length in (1, 2, 3)]
    scoring = await scorer.score(trajectories)
    for trajectory, scores in zip(trajectories, scoring.scores, strict=True):
        assert isinstance(scores, StepScores)
        expected = reference_scores(tiny_prm, trajectory)
        assert scores.values == pytest.approx(expected, abs=1e-5)
    usage = scoring.usage
    assert usage.scored_tokens + usage.cached_tokens == usage.prompt_tokens > 0
    assert usage.num_calls == 3


async def test_a_search_that_grows_its_prefixes_computes_each_step_once(
    scorer: TransformersScorer, tiny_prm: Path
) -> None:
    num_computed = 0
    for length in (1, 2, 3):
        trajectory = prefix_of(*TEXTS[:length])
        scoring = await scorer.score([trajectory])
        (scores,) = scoring.scores
        assert isinstance(scores, StepScores)
        assert scores.values == pytest.approx(reference_scores(tiny_prm, trajectory), abs=1e-5)
        num_computed += scoring.usage.scored_tokens
    assert num_computed == scoring.usage.prompt_tokens
    again = await scorer.score([trajectory])
    assert again.scores == scoring.scores
    assert again.usage.scored_tokens == 0


async def test_without_reuse_every_solution_is_computed_from_its_beginning(tiny_prm: Path) -> None:
    options = TransformersOptions(device="cpu", reuse_prefixes=False)
    scorer = TransformersScorer(prm=Prm(model=str(tiny_prm), dtype="float32"), options=options)
    await scorer.start()
    trajectory = prefix_of(*TEXTS)
    for _ in range(2):
        scoring = await scorer.score([trajectory])
        (scores,) = scoring.scores
        assert isinstance(scores, StepScores)
        assert scores.values == pytest.approx(reference_scores(tiny_prm, trajectory), abs=1e-5)
        assert scoring.usage.scored_tokens == scoring.usage.prompt_tokens > 0
    await scorer.close()


async def test_a_score_does_not_depend_on_what_is_scored_beside_it(
    scorer: TransformersScorer,
) -> None:
    trajectories = [
        prefix_of(*TEXTS[:length], prompt=PROMPT[:cut], problem_id=str(cut))
        for length in (1, 2, 3)
        for cut in (10, 40, 80)
    ]
    together = (await scorer.score(trajectories)).scores
    for trajectory, scores in zip(trajectories, together, strict=True):
        await scorer.reset_cache()
        (alone,) = (await scorer.score([trajectory])).scores
        assert isinstance(alone, StepScores)
        assert isinstance(scores, StepScores)
        assert scores.values == pytest.approx(alone.values, abs=1e-5)


async def test_the_scores_of_a_prefix_stay_when_steps_are_added(
    scorer: TransformersScorer,
) -> None:
    scoring = await scorer.score([prefix_of(*TEXTS[:2]), prefix_of(*TEXTS)])
    short, long = scoring.scores
    assert isinstance(short, StepScores)
    assert isinstance(long, StepScores)
    assert long.values[:2] == pytest.approx(short.values, abs=1e-5)


async def test_what_cannot_be_scored_is_a_failure_and_spoils_nothing_else(
    scorer: TransformersScorer,
) -> None:
    scoring = await scorer.score(
        [
            prefix_of(TEXTS[0]),
            prefix_of("  \n\n"),
            prefix_of(TEXTS[0] * 30),
            prefix_of("a ~ b\n\n"),
            prefix_of(),
        ]
    )
    kinds = [score.kind if isinstance(score, Failure) else None for score in scoring.scores]
    assert kinds == [None, "EmptyStepError", "ContextLengthError", "ScoringError", None]
    assert scoring.scores[-1] == StepScores(values=())


async def test_checkpoints_of_token_classification_work_as_well(
    tiny_model: Path, tmp_path: Path
) -> None:
    reference = AutoModelForTokenClassification.from_pretrained(tiny_model, num_labels=2)
    torch.nn.init.normal_(reference.score.weight)
    reference.eval().save_pretrained(tmp_path, max_shard_size="100KB")  # several files
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(tmp_path)
    scorer = TransformersScorer(prm=Prm(model=str(tmp_path), dtype="float32"), options=CPU)
    await scorer.start()
    (scores,) = (await scorer.score([prefix_of(*TEXTS)])).scores
    await scorer.close()
    (solution,) = renderer_of(TaggedHead(), AutoTokenizer.from_pretrained(tmp_path))(PROMPT, TEXTS)
    with torch.inference_mode():
        logits = reference(torch.tensor([solution.token_ids])).logits[0]
    assert isinstance(scores, StepScores)
    assert scores.values == pytest.approx(
        [float(logits[position].softmax(-1)[1]) for position in solution.positions], abs=1e-5
    )


async def test_a_model_without_a_head_is_no_prm(tiny_model: Path) -> None:
    with pytest.raises(EngineError, match=r"head of PRM .*score\."):
        await TransformersScorer(prm=Prm(model=str(tiny_model)), options=CPU).start()
