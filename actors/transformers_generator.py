"""A policy run by transformers."""

from __future__ import annotations

from actors.policy_generator import PolicyGenerator
from actors.transformers_completions import TransformersCompletions
from actors.transformers_options import TransformersOptions
from prm_search.policy import Policy


class TransformersGenerator(PolicyGenerator):
    """A generator that needs torch and transformers alone."""

    def __init__(self, *, policy: Policy, options: TransformersOptions | None = None) -> None:
        super().__init__(policy)
        self._options = options or TransformersOptions()

    async def _start_engine(self) -> TransformersCompletions:
        return await TransformersCompletions.start(
            self._policy.model,
            dtype=self._policy.dtype,
            max_model_len=self._policy.max_model_len,
            options=self._options,
        )
