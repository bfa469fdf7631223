"""What a family of PRMs must say about itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from prm_search.tokens import Tokenizer


@runtime_checkable
class PrmFamily(Protocol):
    """How PRMs of one kind are shown a solution, and how their answer is read.

    The PRM's input is the question followed by the steps, each rendered by itself and appended.
    So what was computed for a prefix stays valid when a step is added.
    """

    def question(
        self, tokenizer: Tokenizer, problem: str, system_prompt: str | None
    ) -> tuple[int, ...]:
        """Token ids up to where the first step begins.

        Raises:
            ConfigurationError: if the family has no place for a system prompt and gets one.
        """
        ...

    def step(self, tokenizer: Tokenizer, text: str, *, is_first: bool) -> tuple[int, ...]:
        """Token ids of a step, the last of them being where it is scored.

        Args:
            tokenizer: the model's own.
            text: the step, with or without the separator after it.
            is_first: whether it follows the question rather than another step.

        Raises:
            EmptyStepError: if the step has no content.
        """
        ...

    def score(self, row: Sequence[float]) -> float:
        """P(step is correct), from what the model puts out at the scored position.

        Args:
            row: probabilities of the head's classes; of a head with one output, its sigmoid.

        Raises:
            ConfigurationError: if the head has another number of outputs than is read.
        """
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


@runtime_checkable
class EarlyFamily(PrmFamily, Protocol):
    """A family whose steps are scored before their last token."""

    @property
    def num_tokens_after_score(self) -> int:
        """How many tokens of a step come after the one where it is scored; at least 0."""
        ...


@runtime_checkable
class AnswerFamily(Protocol):
    """A family of reward models that judge whole answers, and know no steps.

    Each prefix of a solution is shown as if it were the whole answer, in a rendering of its own.
    """

    def answer(
        self,
        tokenizer: Tokenizer,
        problem: str,
        steps: Sequence[str],
        system_prompt: str | None,
    ) -> tuple[int, ...]:
        """Token ids of a question and its answer, the last of them being where it is scored.

        Args:
            tokenizer: the model's own.
            problem: the question.
            steps: texts of all steps, at least one; joined without anything between, they are
                the answer.
            system_prompt: None leaves it to the chat template.

        Raises:
            EmptyStepError: if the last step has no content.
        """
        ...

    def score(self, row: Sequence[float]) -> float:
        """P(answer is good), from what the model puts out at the scored position."""
        ...
