"""Skywork-o1-Open-PRM: a value head, read at the line break after each step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prm_search.prms.checks import (
    refuse_system_prompt,
    require_outputs,
    special_token,
    step_content,
)
from prm_search.tokens import Tokenizer, text_tokens


@dataclass(frozen=True, kw_only=True, slots=True)
class SkyworkO1:
    """`<bos>problem⏎step⏎step⏎…`, each step tokenised by itself.

    The score is the sigmoid of the value at the line break. Source: the authors' repository
    skywork-o1-prm-inference, with its step token, the line break.
    """

    def question(
        self, tokenizer: Tokenizer, problem: str, system_prompt: str | None
    ) -> tuple[int, ...]:
        """Token ids of the problem."""
        refuse_system_prompt(system_prompt, self)
        beginning = special_token(tokenizer, "bos_token", self)
        return tuple(tokenizer.encode(f"{beginning}{problem}\n", add_special_tokens=False))

    def step(self, tokenizer: Tokenizer, text: str, *, is_first: bool) -> tuple[int, ...]:
        """Token ids of a step and the line break after it."""
        line_break = tokenizer.encode("\n", add_special_tokens=False)[-1]
        return (*text_tokens(tokenizer, step_content(text)), line_break)

    def score(self, row: Sequence[float]) -> float:
        """The sigmoid of the value."""
        require_outputs(row, 1, self)
        return row[0]
