"""A generative PRM served by vLLM."""

from __future__ import annotations

from actors.generative_scorer import GenerativeScorer
from actors.vllm_engine import VllmEngine
from actors.vllm_options import VllmOptions
from prm_search.prms.generative_prm import GenerativePrm


class VllmGenerativeScorer(GenerativeScorer):
    """A scorer."""

    def __init__(self, *, prm: GenerativePrm, options: VllmOptions | None = None) -> None:
        super().__init__(prm)
        self._options = options or VllmOptions()

    async def _start_engine(self) -> VllmEngine:
        return await VllmEngine.start(
            self._prm.model,
            is_pooling=False,
            dtype=self._prm.dtype,
            max_model_len=self._prm.max_model_len,
            options=self._options,
        )
