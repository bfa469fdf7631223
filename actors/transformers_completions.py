"""A causal language model of transformers that draws samples."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from transformers import AutoModelForCausalLM, PreTrainedModel

from actors.batch_thread import BatchThread
from actors.completion import Completion, Sampling
from actors.prompting import load_tokenizer
from actors.transformers_decoding import Decoder, SampleRequest
from actors.transformers_model import context_length, load_model, replace_weights
from actors.transformers_options import TransformersOptions
from prm_search.errors import ContextLengthError


class TransformersCompletions:
    """A running engine. Samples that are asked for at the same time are computed together."""

    def __init__(
        self,
        model: PreTrainedModel,
        decoder: Decoder,
        *,
        max_model_len: int,
        options: TransformersOptions,
    ) -> None:
        self._model = model
        self._thread: BatchThread[SampleRequest, Completion] = BatchThread(decoder.run, options)
        self.max_model_len = max_model_len
        """Context, in tokens."""

    @classmethod
    async def start(
        cls,
        model: str,
        *,
        dtype: str,
        max_model_len: int | None,
        options: TransformersOptions,
    ) -> TransformersCompletions:
        """Load a model, without blocking the event loop.

        Args:
            model: a folder or a name on the Hugging Face Hub.
            dtype: as in the model's settings.
            max_model_len: tokens; None means the model's own.
            options: how it runs.

        Raises:
            EngineError: naming the model, if it cannot be loaded.
        """
        loaded = await asyncio.to_thread(
            load_model, AutoModelForCausalLM, model, dtype=dtype, options=options
        )
        return cls(
            loaded,
            Decoder(loaded, load_tokenizer(model)),
            max_model_len=context_length(loaded, max_model_len),
            options=options,
        )

    async def complete(self, prompt: tuple[int, ...], sampling: Sampling) -> Completion:
        """Draw one sample.

        Raises:
            ContextLengthError: if the prompt leaves no room for a token.
            EngineError: if the engine failed.
        """
        room = self.max_model_len - len(prompt)
        if room < 1:
            raise ContextLengthError(len(prompt), self.max_model_len - 1)
        sampling = replace(sampling, max_tokens=min(sampling.max_tokens, room))
        return await self._thread.submit(
            SampleRequest(prompt=prompt, sampling=sampling), num_tokens=len(prompt)
        )

    async def reset_cache(self) -> None:
        """Nothing: each batch begins without a cache."""

    async def load_weights(self, folder: str) -> None:
        """Replace the weights by those in a folder, or its own.

        Raises:
            EngineError: if they cannot be loaded.
        """
        await asyncio.to_thread(replace_weights, self._model, folder)

    async def close(self) -> None:
        """End the thread that computes."""
        await self._thread.close()
