"""What a family of PRMs must say about itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from prm_search.tokens import Tokenizer


class PrmFamily(Protocol):
    """How PRMs of one kind are shown a solution, and how their answer is read.

    The PRM's input is the question followed by the steps, each rendered by itself and appended.
    So what was computed for a prefix stays valid when a step is added.
    """

    def question(
        self, tokenizer: Tokenizer, problem: str, system_prompt: str | None
    ) -> tuple[int, ...]:
        """Token ids up to where the first step begins."""
        ...

    def step(self, tokenizer: Tokenizer, text: str) -> tuple[int, ...]:
        """Token ids of a step, the last of them being where it is scored.

        Raises:
            EmptyStepError: if the step has no content.
        """
        ...

    def score(self, row: Sequence[float]) -> float:
        """P(step is correct), from what the model puts out at the scored position."""
        ...


@runtime_checkable
class VerdictFamily(PrmFamily, Protocol):
    """A family of language models whose next token at the scored position is a verdict.

    Only the two verdicts count: `score` gets the probabilities that they have among themselves.
    """

    def verdicts(self, tokenizer: Tokenizer) -> tuple[int, int]:
        """The tokens that say "wrong" and "right".

        Raises:
            ConfigurationError: if one of them is not one token.
        """
        ...
