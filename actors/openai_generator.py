"""A policy behind an OpenAI-compatible server."""

from __future__ import annotations

from actors.openai_completions import OpenAICompletions
from actors.openai_options import OpenAIOptions
from actors.policy_generator import PolicyGenerator
from prm_search.model_settings import require
from prm_search.policy import Policy


class OpenAIGenerator(PolicyGenerator):
    """A generator. Its server has to be vLLM, or to return token ids as vLLM does.

    The policy's tokenizer is loaded here, so its model must be a name or folder that can be
    loaded, whatever its name at the server.
    """

    def __init__(self, *, policy: Policy, options: OpenAIOptions | None = None) -> None:
        require(policy.dtype == "auto", "policy.dtype", policy.dtype, "is up to the server: auto")
        super().__init__(policy)
        self._options = options or OpenAIOptions()

    async def _start_engine(self) -> OpenAICompletions:
        return await OpenAICompletions.start(
            self._policy.model, max_model_len=self._policy.max_model_len, options=self._options
        )
