"""PRMs with a two-class head, read at a tag after each step (Qwen2.5-Math-PRM)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prm_search.prms.checks import one_token, require_outputs, step_content
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

    def step(self, tokenizer: Tokenizer, text: str, *, is_first: bool) -> tuple[int, ...]:
        """Token ids of a step and its tag."""
        tag = one_token(tokenizer, self.step_tag, "prm.family.step_tag")
        return (*text_tokens(tokenizer, step_content(text)), tag)

    def score(self, row: Sequence[float]) -> float:
        """P(step is correct), from [P(wrong), P(right)]."""
        require_outputs(row, 2, self)
        return row[1]
