"""A completer that is another model than the one that wrote the responses."""

from __future__ import annotations

from dataclasses import dataclass, replace

from prm_search.protocols import Generator, Until
from prm_search.types import Generation, Trajectory


@dataclass(frozen=True, kw_only=True, slots=True)
class TextPrefixes:
    """Gives a generator the text of prefixes and not their tokens, which it would misread."""

    generator: Generator

    async def generate(
        self,
        prefix: Trajectory,
        *,
        num_samples: int,
        until: Until,
        seed: int,
        temperature: float | None = None,
    ) -> Generation:
        """Continue a prefix; see `prm_search.protocols.Generator`."""
        steps = tuple(replace(step, token_ids=(), logprobs=()) for step in prefix.steps)
        return await self.generator.generate(
            replace(prefix, steps=steps),
            num_samples=num_samples,
            until=until,
            seed=seed,
            temperature=temperature,
        )
