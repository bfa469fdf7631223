"""Plain reward models: one score for a whole answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prm_search.errors import ConfigurationError, ScoringError
from prm_search.prms.checks import require_outputs, step_content
from prm_search.tokens import Tokenizer, text_tokens


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerReward:
    """A chat of question and answer, read where the chat template ends it.

    A step is scored as if the answer ended with it: the score of the last step is the reward
    model's own, and those of the others are guesses about answers unlike any that it learned
    from. So `last` is the way to aggregate them. A score is the sigmoid of the reward, which
    keeps the order of answers. Source: the model cards of Qwen2.5-Math-RM and Skywork-Reward.
    """

    def answer(
        self,
        tokenizer: Tokenizer,
        problem: str,
        steps: Sequence[str],
        system_prompt: str | None,
    ) -> tuple[int, ...]:
        """Token ids of the chat.

        Raises:
            ConfigurationError: if the model has no chat template.
            ScoringError: if the answer has special tokens of the model in it.
        """
        if tokenizer.chat_template is None:
            raise ConfigurationError("prm.family: AnswerReward needs a chat template; none here")
        step_content(steps[-1])
        answer = "".join(steps).strip()
        if text_tokens(tokenizer, answer) != tuple(
            tokenizer.encode(answer, add_special_tokens=False)
        ):
            raise ScoringError("the answer contains special tokens of the reward model")
        turns = [("user", problem), ("assistant", answer)]
        if system_prompt is not None:
            turns.insert(0, ("system", system_prompt))
        chat = tokenizer.apply_chat_template(
            [{"role": role, "content": content} for role, content in turns], tokenize=False
        )
        return tuple(tokenizer.encode(str(chat), add_special_tokens=False))

    def score(self, row: Sequence[float]) -> float:
        """The sigmoid of the reward."""
        require_outputs(row, 1, self)
        return row[0]
