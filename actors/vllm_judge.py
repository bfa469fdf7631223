"""A judge served by vLLM."""

from __future__ import annotations

from actors.critique_judge import CritiqueJudge
from actors.vllm_engine import VllmEngine
from actors.vllm_options import VllmOptions
from prm_search.judging.judge import JudgeModel


class VllmJudge(CritiqueJudge):
    """A judge."""

    def __init__(self, *, judge: JudgeModel, options: VllmOptions | None = None) -> None:
        super().__init__(judge)
        self._options = options or VllmOptions()

    async def _start_engine(self) -> VllmEngine:
        return await VllmEngine.start(
            self._judge.model,
            is_pooling=False,
            dtype=self._judge.dtype,
            max_model_len=self._judge.max_model_len,
            options=self._options,
        )
