"""Samples from an OpenAI-compatible server: tokens in, tokens out."""

from __future__ import annotations

from openai.types import Completion as Response
from openai.types import CompletionChoice

from actors.completion import Completion, Sampling
from actors.openai_client import OpenAIClient
from actors.openai_options import OpenAIOptions
from prm_search.errors import ConfigurationError, ContextLengthError, EngineError
from prm_search.types import StopReason

UNCHANGED = {"repetition_penalty": 1.0, "min_p": 0.0}
"""Sent to vLLM, which would else take what the model's generation_config.json says."""


class OpenAICompletions:
    """The completions of one model at a server.

    The server has to take token ids as the prompt and to return those of the sample
    (`return_token_ids`), as vLLM does.
    """

    def __init__(self, client: OpenAIClient, max_model_len: int | None) -> None:
        self._client = client
        limits = [limit for limit in (client.max_model_len, max_model_len) if limit is not None]
        self._max_model_len = min(limits, default=None)

    @classmethod
    async def start(
        cls, model: str, *, max_model_len: int | None, options: OpenAIOptions
    ) -> OpenAICompletions:
        """Connect to the server.

        Args:
            model: its name at the server, if the options do not say another.
            max_model_len: tokens; None means what the server says.
            options: how the server is reached.

        Raises:
            ConfigurationError: if the server refuses the key or does not have the model.
            EngineError: if the server cannot be reached.
        """
        return cls(await OpenAIClient.start(model, options), max_model_len)

    async def complete(self, prompt: tuple[int, ...], sampling: Sampling) -> Completion:
        """Draw one sample.

        Raises:
            ConfigurationError: if tokens are to be watched, which servers cannot.
            ContextLengthError: if the prompt leaves no room for a token, or the server, which does
                not say how much it takes, finds it too long.
            EngineError: if the server failed, or does not return token ids.
        """
        if sampling.watch:
            raise ConfigurationError(
                "an OpenAI-compatible server does not give the log probabilities of chosen "
                "tokens; run this model with vllm or transformers"
            )
        max_tokens = sampling.max_tokens
        if self._max_model_len is not None:
            if len(prompt) >= self._max_model_len:
                raise ContextLengthError(len(prompt), self._max_model_len - 1)
            max_tokens = min(max_tokens, self._max_model_len - len(prompt))
        client = self._client
        async with client.request():
            response = await client.api.completions.create(
                model=client.model,
                prompt=list(prompt),
                max_tokens=max_tokens,
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                seed=sampling.seed,
                stop=sampling.stop,
                logprobs=0 if sampling.logprobs else None,
                extra_body={
                    "top_k": sampling.top_k or 0,
                    "return_token_ids": True,
                    "include_stop_str_in_output": True,
                    **UNCHANGED,
                },
            )
        return self._completion(response, sampling, num_prompt_tokens=len(prompt))

    def _completion(
        self, response: Response, sampling: Sampling, *, num_prompt_tokens: int
    ) -> Completion:
        if not response.choices:
            raise EngineError(f"the server gave no sample of {self._client.model!r}")
        choice = response.choices[0]
        token_ids: list[int] | None = getattr(choice, "token_ids", None)
        if token_ids is None:
            raise EngineError(
                f"the server of {self._client.model!r} returns no token ids; a policy needs them, "
                "and vLLM returns them"
            )
        logprobs = choice.logprobs.token_logprobs if choice.logprobs else None
        usage = response.usage
        details = usage.prompt_tokens_details if usage else None
        return Completion(
            token_ids=tuple(token_ids),
            logprobs=tuple(logprobs or ()) if sampling.logprobs else (),
            stop_reason=self._stop_reason(choice),
            num_prompt_tokens=num_prompt_tokens,
            num_cached_tokens=(details.cached_tokens or 0) if details else 0,
        )

    def _stop_reason(self, choice: CompletionChoice) -> StopReason:
        match choice.finish_reason:
            case "stop":
                # vLLM names the text that ended the sample, or the id of a token, or nothing.
                by_text = isinstance(getattr(choice, "stop_reason", None), str)
                return StopReason.STEP if by_text else StopReason.END
            case "length":
                return StopReason.LENGTH
            case reason:
                raise EngineError(
                    f"the server gave up a request to {self._client.model!r}: {reason=!s}"
                )

    async def reset_cache(self) -> None:
        """Nothing: the cache is the server's, and what it saves is in the account."""

    async def load_weights(self, folder: str) -> None:
        """Not possible.

        Raises:
            EngineError: always.
        """
        raise EngineError(
            f"the weights of {self._client.model!r} are its server's and cannot be replaced; run "
            "the policy here, with engine=vllm"
        )

    async def close(self) -> None:
        """Close the connections. The server goes on."""
        await self._client.close()
