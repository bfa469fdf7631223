"""A policy served by vLLM."""

from __future__ import annotations

from actors.policy_generator import PolicyGenerator
from actors.vllm_engine import VllmEngine
from actors.vllm_options import VllmOptions
from prm_search.policy import Policy


class VllmGenerator(PolicyGenerator):
    """A generator."""

    def __init__(self, *, policy: Policy, options: VllmOptions | None = None) -> None:
        super().__init__(policy)
        self._options = options or VllmOptions()

    async def _start_engine(self) -> VllmEngine:
        return await VllmEngine.start(
            self._policy.model,
            is_pooling=False,
            dtype=self._policy.dtype,
            max_model_len=self._policy.max_model_len,
            options=self._options,
        )
