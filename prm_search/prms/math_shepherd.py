"""Math-Shepherd's PRM: a language model that says "+" or "-" after the tag of each step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prm_search.errors import ConfigurationError
from prm_search.prms.checks import (
    refuse_system_prompt,
    require_outputs,
    step_content,
    verdict_pair,
)
from prm_search.tokens import Tokenizer, following_tokens


@dataclass(frozen=True, kw_only=True, slots=True)
class MathShepherd:
    """`question step ки⏎step ки⏎…`, without a chat template.

    The model was trained on steps that begin with "Step 1: ", "Step 2: ", …; they are shown as
    they were written. Source: arXiv 2312.08935, and the card of math-shepherd-mistral-7b-prm.
    """

    tag: str = "ки"
    """Ends a step."""
    right: str = "+"
    """The verdict on a right step; one token."""
    wrong: str = "-"
    """The verdict on a wrong step; one token."""

    def __post_init__(self) -> None:
        if not self.tag.strip():
            raise ConfigurationError("prm.family.tag must not be empty")

    def question(
        self, tokenizer: Tokenizer, problem: str, system_prompt: str | None
    ) -> tuple[int, ...]:
        """Token ids of the problem."""
        refuse_system_prompt(system_prompt, self)
        return tuple(tokenizer.encode(problem.strip(), add_special_tokens=True))

    def step(self, tokenizer: Tokenizer, text: str, *, is_first: bool) -> tuple[int, ...]:
        """Token ids of a step and its tag."""
        separator = " " if is_first else "\n"
        # Tags and words alike are written with a space before them.
        text = f"{separator}{step_content(text)} {self.tag}"
        return following_tokens(tokenizer, self.tag, text)

    def score(self, row: Sequence[float]) -> float:
        """P(step is correct), from [P(wrong), P(right)]."""
        require_outputs(row, 2, self)
        return row[1]

    def verdicts(self, tokenizer: Tokenizer) -> tuple[int, int]:
        """The tokens that say "wrong" and "right"."""
        return verdict_pair(tokenizer, wrong=self.wrong, right=self.right)
