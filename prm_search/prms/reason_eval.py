"""ReasonEval: a head with three classes, read at the end of each step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from prm_search.errors import ConfigurationError
from prm_search.prms.checks import (
    refuse_system_prompt,
    require_outputs,
    special_token,
    step_content,
)
from prm_search.tokens import Tokenizer, following_tokens, text_tokens


class Quality(StrEnum):
    """What a score says about a step."""

    validity = "validity"
    """P(no mistake) = P(neutral) + P(positive)."""
    usefulness = "usefulness"
    """P(not redundant) = 1 - P(neutral)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReasonEval:
    """`Question:⏎problem⏎Answer:⏎Let's think step by step.⏎step step …`.

    Each part is tokenised by itself, and nothing stands between them. Source: arXiv 2404.05692
    and codes/examples.py of GAIR-NLP/ReasonEval.
    """

    quality: Quality = Quality.validity
    """validity, or usefulness (which the authors call redundancy, the other way round)."""
    num_tokens_after_score: int = 0
    """Tokens of a step after the one where it is scored. The authors' code has 1 for the model of
    7B and 0 for that of 34B."""

    def __post_init__(self) -> None:
        if self.num_tokens_after_score not in (0, 1):
            raise ConfigurationError("prm.family.num_tokens_after_score must be 0 or 1")

    def question(
        self, tokenizer: Tokenizer, problem: str, system_prompt: str | None
    ) -> tuple[int, ...]:
        """Token ids of the question."""
        refuse_system_prompt(system_prompt, self)
        text = f"Question:\n{problem}\nAnswer:\nLet's think step by step.\n"
        return tuple(tokenizer.encode(text, add_special_tokens=True))

    def step(self, tokenizer: Tokenizer, text: str, *, is_first: bool) -> tuple[int, ...]:
        """Token ids of a step as the authors' separator, the padding token, would set it off."""
        separator = special_token(tokenizer, "pad_token", self)
        set_off = tokenizer.encode(f"{separator}a", add_special_tokens=False)[1:]
        if set_off == tokenizer.encode("a", add_special_tokens=False):
            return text_tokens(tokenizer, step_content(text))
        # Only the very beginning of a text is given a space by this tokenizer.
        return following_tokens(tokenizer, "\n", step_content(text))

    def score(self, row: Sequence[float]) -> float:
        """The quality of a step, from [P(negative), P(neutral), P(positive)]."""
        require_outputs(row, 3, self)
        return 1 - (row[0] if self.quality is Quality.validity else row[1])
