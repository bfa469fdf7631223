"""PRMs that are language models: after each step they say "+" or "-"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prm_search.errors import ConfigurationError
from prm_search.prms.checks import refuse_system_prompt, step_content, verdict_pair
from prm_search.tokens import Tokenizer, question_tokens, text_tokens


@dataclass(frozen=True, kw_only=True, slots=True)
class VerdictTokens:
    """Question, then steps without the white space around them, each followed by the tag.

    At the tag's last token, the model's next token is its verdict. Source: Math-Shepherd
    (arXiv 2312.08935), whose PRM is P(right) / (P(right) + P(wrong)) there.
    """

    tag: str = " ки"
    """Ends a step: text of one or more tokens, or a special token."""
    right: str = "+"
    """The verdict on a right step; one token."""
    wrong: str = "-"
    """The verdict on a wrong step; one token."""
    prompt_template: str | None = None
    """For models without a chat template: a text with {problem} in it. Replaces the template."""

    def __post_init__(self) -> None:
        if not self.tag:
            raise ConfigurationError("family.tag must not be empty")
        if self.right == self.wrong:
            raise ConfigurationError(f"family.right and family.wrong are both {self.right!r}")
        if self.prompt_template is not None and "{problem}" not in self.prompt_template:
            raise ConfigurationError("family.prompt_template must contain {problem}")

    def question(
        self, tokenizer: Tokenizer, problem: str, system_prompt: str | None
    ) -> tuple[int, ...]:
        """Token ids up to where the first step begins."""
        if self.prompt_template is not None:
            refuse_system_prompt(system_prompt, self)
        return question_tokens(
            tokenizer,
            problem,
            system_prompt=system_prompt,
            prompt_template=self.prompt_template,
        )

    def step(self, tokenizer: Tokenizer, text: str, *, is_first: bool) -> tuple[int, ...]:
        """Token ids of a step and its tag."""
        tag = tokenizer.encode(self.tag, add_special_tokens=False)
        return (*text_tokens(tokenizer, step_content(text)), *tag)

    def score(self, row: Sequence[float]) -> float:
        """P(step is correct), from [P(wrong), P(right)]."""
        return row[1]

    def verdicts(self, tokenizer: Tokenizer) -> tuple[int, int]:
        """The tokens that say "wrong" and "right"."""
        return verdict_pair(tokenizer, wrong=self.wrong, right=self.right)
