"""The only file that knows the openai library: connection, retries, errors."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import openai

from actors.openai_options import OpenAIOptions
from prm_search.errors import ConfigurationError, ContextLengthError, EngineError

_NO_KEY = "none"
_TOO_LONG = ("context_length_exceeded", "maximum context length")


class PromptTooLongError(ContextLengthError):
    """The server says that prompt and answer do not fit into the model's context."""

    def __init__(self, message: str) -> None:
        EngineError.__init__(self, message)
        self.message = message

    def __str__(self) -> str:
        return self.message


class OpenAIClient:
    """A connection to a server, for one model."""

    def __init__(
        self, client: openai.AsyncOpenAI, model: str, options: OpenAIOptions, *, is_vllm: bool
    ) -> None:
        self.api = client
        self.model = model
        """The model's name at the server."""
        self.is_vllm = is_vllm
        """Whether the server is vLLM and so takes parameters that others refuse."""
        self.max_model_len: int | None = None
        """Context, in tokens, if the server says."""
        self._base_url = options.base_url
        self._key_variable = options.api_key_variable
        self._slots = asyncio.Semaphore(options.max_concurrency)

    @classmethod
    async def start(cls, model: str, options: OpenAIOptions) -> OpenAIClient:
        """Connect, and look whether the model is there.

        Raises:
            ConfigurationError: if the server refuses the key or does not have the model.
            EngineError: if the server cannot be reached.
        """
        api = openai.AsyncOpenAI(
            base_url=options.base_url,
            api_key=os.environ.get(options.api_key_variable) or _NO_KEY,
            timeout=options.timeout,
            max_retries=options.max_retries,
        )
        client = cls(api, options.served_model or model, options, is_vllm=False)
        try:
            await client._look_up_model()
        except BaseException:
            await api.close()
            raise
        return client

    async def _look_up_model(self) -> None:
        try:
            async with self.request():
                served = {card.id: card async for card in self.api.models.list()}
        except _MissingError:
            return  # a server may have no list of models
        if self.model not in served:
            raise ConfigurationError(
                f"the server at {self._base_url} does not have the model {self.model!r}; it has "
                f"{', '.join(sorted(served)) or 'none'} (set options.served_model)"
            )
        card = served[self.model]
        self.is_vllm = card.owned_by == "vllm"
        max_model_len = getattr(card, "max_model_len", None)
        self.max_model_len = max_model_len if isinstance(max_model_len, int) else None

    @asynccontextmanager
    async def request(self) -> AsyncGenerator[None, None]:
        """Wait for a free slot; within it, errors of the library become those of this project.

        Raises:
            ConfigurationError: if the server refuses the key.
            PromptTooLongError: if the request does not fit into the context.
            EngineError: if the server failed, after all retries.
        """
        async with self._slots:
            try:
                yield
            except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
                raise ConfigurationError(
                    f"the server at {self._base_url} refuses the key (status "
                    f"{error.status_code}); is it in ${self._key_variable}?"
                ) from error
            except openai.NotFoundError as error:
                raise _MissingError(
                    f"the server at {self._base_url} does not have what was asked for: "
                    f"{error.message}"
                ) from error
            except openai.BadRequestError as error:
                is_too_long = any(hint in f"{error.code} {error.message}" for hint in _TOO_LONG)
                kind = PromptTooLongError if is_too_long else EngineError
                raise kind(
                    f"the server at {self._base_url} refused the request: {error.message}"
                ) from error
            except openai.APITimeoutError as error:
                raise EngineError(
                    f"the server at {self._base_url} gave no answer in time"
                ) from error
            except openai.APIConnectionError as error:
                raise EngineError(
                    f"the server at {self._base_url} cannot be reached: {error.__cause__ or error}"
                ) from error
            except openai.OpenAIError as error:
                raise EngineError(f"the server at {self._base_url} failed: {error}") from error

    async def close(self) -> None:
        """Close the connections. The server goes on."""
        await self.api.close()


class _MissingError(EngineError):
    """The server does not have an address or a model."""
