"""PRMs with a two-class head, read at a tag after each step (Qwen2.5-Math-PRM)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prm_search.errors import ConfigurationError, EmptyStepError
from prm_search.tokens import Tokenizer, question_tokens, text_tokens


@dataclass(frozen=True, kw_only=True, slots=True)
class TaggedHead:
    """Chat question, then steps without the white space around them, each followed by the tag.

    Source: arXiv 2501.07301, section 3.1, and the model cards of Qwen2.5-Math-PRM.
    """

    step_tag: str = "<extra_0>"
    """A special token of the PRM's tokenizer."""

    def question(
        self, tokenizer: Tokenizer, problem: str, system_prompt: str | None
    ) -> tuple[int, ...]:
        """Token ids up to where the first step begins."""
        return question_tokens(tokenizer, problem, system_prompt=system_prompt)

    def step(self, tokenizer: Tokenizer, text: str) -> tuple[int, ...]:
        """Token ids of a step and its tag."""
        if not text.strip():
            raise EmptyStepError(f"a step without content cannot be scored: {text!r}")
        tag = tokenizer.encode(self.step_tag, add_special_tokens=False)
        if len(tag) != 1:
            raise ConfigurationError(f"prm.family.step_tag: {self.step_tag!r} is not one token")
        return (*text_tokens(tokenizer, text.strip()), *tag)

    def score(self, row: Sequence[float]) -> float:
        """P(step is correct), from [P(wrong), P(right)]."""
        return row[1]
