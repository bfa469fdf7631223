"""The benchmark of prefix reuse in the Transformers scorer."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from actors.prompting import load_tokenizer  # noqa: E402
from benchmarks.transformers_scoring import draw_workload, measure, small_config  # noqa: E402
from prm_search.resolvers import sandbox_model  # noqa: E402


async def test_both_ways_give_the_same_scores_and_reuse_computes_less() -> None:
    tokenizer = load_tokenizer(sandbox_model("prm"))
    workload = draw_workload(tokenizer, num_problems=1, num_beams=4, depth=3)
    assert [len(depth) for depth in workload] == [4, 4, 4]
    assert [len(depth[0].steps) for depth in workload] == [1, 2, 3]
    result = await measure(workload, small_config(), torch.device("cpu"))
    assert result["largest_difference"] == pytest.approx(0.0, abs=1e-5)
    assert 2 * float(str(result["tokens.reuse"])) < float(str(result["tokens.recompute"]))
    assert len(list(result["speedup_by_depth"])) == 3  # pyright: ignore[reportArgumentType]
