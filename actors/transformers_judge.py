"""A judge run by transformers."""

from __future__ import annotations

from actors.critique_judge import CritiqueJudge
from actors.transformers_completions import TransformersCompletions
from actors.transformers_options import TransformersOptions
from prm_search.judging.judge import JudgeModel


class TransformersJudge(CritiqueJudge):
    """A judge that needs torch and transformers alone."""

    def __init__(self, *, judge: JudgeModel, options: TransformersOptions | None = None) -> None:
        super().__init__(judge)
        self._options = options or TransformersOptions()

    async def _start_engine(self) -> TransformersCompletions:
        return await TransformersCompletions.start(
            self._judge.model,
            dtype=self._judge.dtype,
            max_model_len=self._judge.max_model_len,
            options=self._options,
        )
