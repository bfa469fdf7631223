"""What an engine that samples text is asked for, and what it gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from prm_search.types import StopReason, Usage


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """How one sample is drawn."""

    max_tokens: int
    temperature: float
    """0 means greedy."""
    top_p: float = 1.0
    top_k: int | None = None
    seed: int = 0
    stop: str | None = None
    """Text that ends the sample, and belongs to it."""
    logprobs: bool = False
    watch: tuple[int, ...] = ()
    """Tokens whose log probability is wanted at every position, whatever is drawn there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Completion:
    """One sample."""

    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    """[num_tokens], or empty if not asked for."""
    stop_reason: StopReason
    num_prompt_tokens: int
    num_cached_tokens: int
    """Prompt tokens that were not computed again."""
    watched: tuple[tuple[float, ...], ...] = ()
    """[num_tokens, num_watched] natural-log probabilities, before temperature and top_p; or
    empty if not asked for."""


class CompletionEngine(Protocol):
    """An engine that draws samples."""

    async def complete(self, prompt: tuple[int, ...], sampling: Sampling) -> Completion:
        """Draw one sample.

        Raises:
            ContextLengthError: if the prompt leaves no room for a token.
            EngineError: if the engine failed.
        """
        ...

    async def reset_cache(self) -> None:
        """Forget all prefixes.

        Raises:
            EngineError: if requests are in progress.
        """
        ...

    async def load_weights(self, folder: str) -> None:
        """Replace the weights by those in a folder, or its own, and forget all prefixes.

        Raises:
            EngineError: if they cannot be loaded.
        """
        ...

    async def close(self) -> None:
        """End the engine."""
        ...


def shared_prompt_usage(samples: Sequence[Completion]) -> Usage:
    """What samples of one prompt cost: it counts once, and again what was computed again."""
    computed = sum(sample.num_prompt_tokens - sample.num_cached_tokens for sample in samples)
    cached = min(sample.num_cached_tokens for sample in samples)
    return Usage(
        prompt_tokens=cached + computed,
        cached_tokens=cached,
        generated_tokens=sum(len(sample.token_ids) for sample in samples),
    )
