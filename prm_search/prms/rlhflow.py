"""RLHFlow's PRMs: chats in which each step is a turn of the user, and "+" or "-" the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prm_search.errors import ConfigurationError
from prm_search.prms.checks import require_outputs, step_content, verdict_pair
from prm_search.tokens import Tokenizer, text_tokens

_PROBLEM, _STEP = "«problem»", "«step»"


@dataclass(frozen=True, kw_only=True, slots=True)
class RLHFlow:
    """User: `problem step`. Assistant: `+`. User: `step`. Assistant: `+`. …

    Earlier steps are answered by "+" whatever their score, so that a prefix stays the same.
    Source: RLHFlow's math-rm/prm_evaluate.py, for Llama3.1-8B-PRM-Mistral-Data and
    -Deepseek-Data.
    """

    right: str = "+"
    """The verdict on a right step; one token."""
    wrong: str = "-"
    """The verdict on a wrong step; one token."""

    def question(
        self, tokenizer: Tokenizer, problem: str, system_prompt: str | None
    ) -> tuple[int, ...]:
        """Token ids of the beginning of the chat and the problem."""
        opening, _, _ = self._pieces(tokenizer, system_prompt)
        return (*_encode(tokenizer, opening), *text_tokens(tokenizer, problem.strip()))

    def step(self, tokenizer: Tokenizer, text: str, *, is_first: bool) -> tuple[int, ...]:
        """Token ids of a step, up to where the assistant's answer begins."""
        _, next_turn, ask = self._pieces(tokenizer, None)
        content = step_content(text)
        if is_first:
            return (*text_tokens(tokenizer, f" {content}"), *_encode(tokenizer, ask))
        return (
            *_encode(tokenizer, next_turn),
            *text_tokens(tokenizer, content),
            *_encode(tokenizer, ask),
        )

    def score(self, row: Sequence[float]) -> float:
        """P(step is correct), from [P(wrong), P(right)]."""
        require_outputs(row, 2, self)
        return row[1]

    def verdicts(self, tokenizer: Tokenizer) -> tuple[int, int]:
        """The tokens that say "wrong" and "right"."""
        return verdict_pair(tokenizer, wrong=self.wrong, right=self.right)

    def _pieces(self, tokenizer: Tokenizer, system_prompt: str | None) -> tuple[str, str, str]:
        """What the chat template writes before the problem, before a later step, after a step."""
        if tokenizer.chat_template is None:
            raise ConfigurationError("prm.family: RLHFlow's PRMs need a chat template; none here")
        turns = [("user", _PROBLEM), ("assistant", self.right), ("user", _STEP)]
        if system_prompt is not None:
            turns.insert(0, ("system", system_prompt))
        text = tokenizer.apply_chat_template(
            [{"role": role, "content": content} for role, content in turns],
            tokenize=False,
            add_generation_prompt=True,
        )
        opening, _, rest = str(text).partition(_PROBLEM)
        between, _, ask = rest.partition(_STEP)
        if not (ask and between.startswith(ask + self.right)):
            raise ConfigurationError(
                "prm.family: the model's chat template does not append one turn to another"
            )
        return opening, between.removeprefix(ask), ask


def _encode(tokenizer: Tokenizer, text: str) -> list[int]:
    return tokenizer.encode(text, add_special_tokens=False)
