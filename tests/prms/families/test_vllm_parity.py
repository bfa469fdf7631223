"""vLLM scores each family as its authors do, and refuses what it cannot serve."""

from __future__ import annotations

from dataclasses import replace

import pytest

from prm_search.errors import ConfigurationError

torch = pytest.importorskip("torch")
vllm_options = pytest.importorskip("actors.vllm_options")
vllm_scorer = pytest.importorskip("actors.vllm_scorer")

from actors.served_head import write_served  # noqa: E402
from tests.prms.families.test_parity import (  # noqa: E402
    PROBLEM,
    SOLUTIONS,
    by_name,
    trajectory_of,
    values_of,
)

pytestmark = [pytest.mark.vllm, pytest.mark.slow]

OPTIONS = vllm_options.VllmOptions(kv_cache_gib=0.25)
SERVED = ["qwen_prm", "math_shepherd", "rlhflow", "qwen_reward", "skywork_reward"]


COPIED = ["skywork_o1", "reason_eval_7b", "reason_eval_34b"]


@pytest.mark.parametrize("name", [*SERVED, *COPIED])
async def test_vllm_scores_as_the_authors_do(checkpoint, tmp_path, name: str) -> None:
    prm = original = checkpoint(name)
    if name in COPIED:
        write_served(original.model, tmp_path / "served")
        prm = replace(original, model=str(tmp_path / "served"))
    scorer = vllm_scorer.VllmScorer(prm=prm, options=OPTIONS)
    await scorer.start()
    try:
        stepwise = [
            (await values_of(scorer, [trajectory_of(steps[: end + 1])]))[0][end]
            for steps in SOLUTIONS
            for end in range(len(steps))
        ]
        whole = await values_of(scorer, [trajectory_of(steps) for steps in SOLUTIONS])
        await scorer.reset_cache()
        anew = await values_of(scorer, [trajectory_of(steps) for steps in SOLUTIONS])
    finally:
        await scorer.close()

    reference = by_name(name, original.model)
    with torch.inference_mode():
        expected = [reference(PROBLEM, steps) for steps in SOLUTIONS]
    assert stepwise == pytest.approx([score for scores in expected for score in scores], abs=1e-4)
    assert whole == [pytest.approx(scores, abs=1e-4) for scores in expected]
    assert anew == [pytest.approx(scores, abs=1e-4) for scores in expected]


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("skywork_o1", "v_head"),
        ("reason_eval_7b", "score_head"),
        ("reason_eval_34b", "score_head"),
    ],
)
async def test_a_head_that_vllm_does_not_know_is_refused_at_once(checkpoint, name, head) -> None:
    scorer = vllm_scorer.VllmScorer(prm=checkpoint(name), options=OPTIONS)
    with pytest.raises(ConfigurationError, match=f"'{head}'; run it with engine=transformers"):
        await scorer.start()
