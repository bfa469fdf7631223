"""A generative PRM run by transformers."""

from __future__ import annotations

from actors.generative_scorer import GenerativeScorer
from actors.transformers_completions import TransformersCompletions
from actors.transformers_options import TransformersOptions
from prm_search.prms.generative_prm import GenerativePrm


class TransformersGenerativeScorer(GenerativeScorer):
    """A scorer that needs torch and transformers alone."""

    def __init__(self, *, prm: GenerativePrm, options: TransformersOptions | None = None) -> None:
        super().__init__(prm)
        self._options = options or TransformersOptions()

    async def _start_engine(self) -> TransformersCompletions:
        return await TransformersCompletions.start(
            self._prm.model,
            dtype=self._prm.dtype,
            max_model_len=self._prm.max_model_len,
            options=self._options,
        )
