"""From what frameworks hand over to rollouts."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, cast

from prm_search.errors import ConfigurationError, DataError
from prm_search.rewards import read_completion
from prm_search.types import Problem, Trajectory

Message: TypeAlias = Mapping[str, object]
Text: TypeAlias = str | Sequence[Message]
"""A plain text, or chat messages."""

END_TOKENS = ("<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end_of_text|>", "</s>")


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """How prompts and completions are read."""

    step_separator: str = "\n\n"
    """Ends a step."""
    end_tokens: list[str] = field(default_factory=lambda: list(END_TOKENS))
    """Special tokens that end an answer. A completion is read up to the first of them."""
    needs_end_token: bool = False
    """Whether a completion without one of the end tokens was cut off by the token limit, and so
    is wrong. For frameworks that keep special tokens and do not say so otherwise."""
    problem_pattern: str | None = None
    r"""For prompts that are rendered chats: a regular expression whose first group is the
    problem, such as '<\|im_start\|>user\n(.*?)<\|im_end\|>'. null takes the whole prompt."""

    def __post_init__(self) -> None:
        if not self.step_separator:
            raise ConfigurationError("reading.step_separator must not be empty")
        if "" in self.end_tokens:
            raise ConfigurationError("reading.end_tokens: a token must not be empty")
        if self.needs_end_token and not self.end_tokens:
            raise ConfigurationError("reading.needs_end_token needs reading.end_tokens")
        if self.problem_pattern is not None:
            try:
                num_groups = re.compile(self.problem_pattern).groups
            except re.error as error:
                raise ConfigurationError(f"reading.problem_pattern: {error}") from error
            if num_groups < 1:
                raise ConfigurationError(
                    "reading.problem_pattern has no group; put the problem in parentheses"
                )

    def rollout(
        self,
        prompt: Text,
        completion: Text,
        answer: object = None,
        *,
        is_truncated: bool | None = None,
    ) -> Trajectory:
        """A rollout whose steps' texts, joined, are the completion up to its end token.

        Args:
            prompt: of chat messages, the last one of the user is the problem.
            completion: of chat messages, all of the assistant's.
            answer: the reference answer, as text or number; None or "" if there is none.
            is_truncated: whether the token limit cut the completion off; None if the framework
                does not say so.

        Raises:
            DataError: if there is no problem in the prompt.
        """
        text = completion if isinstance(completion, str) else _said_by(completion, "assistant")
        places = [place for token in self.end_tokens if (place := text.find(token)) >= 0]
        if is_truncated is None:
            is_truncated = self.needs_end_token and not places
        return read_completion(
            self.problem(prompt, answer),
            text[: min(places, default=len(text))],
            separator=self.step_separator,
            is_truncated=is_truncated,
        )

    def problem(self, prompt: Text, answer: object = None) -> Problem:
        """The problem in a prompt. Equal prompts with equal answers have equal ids.

        Raises:
            DataError: if there is none.
        """
        text = prompt if isinstance(prompt, str) else _said_by(prompt[-1:], "user")
        if self.problem_pattern is not None and isinstance(prompt, str):
            found = re.search(self.problem_pattern, prompt, re.DOTALL)
            if found is None:
                raise DataError(
                    f"reading.problem_pattern finds no problem in the prompt {prompt[:80]!r}"
                )
            text = found.group(1)
        text = text.strip()
        if not text:
            raise DataError("the prompt holds no problem")
        reference = None if answer is None or answer == "" else str(answer)
        digest = hashlib.blake2b(repr((text, reference)).encode(), digest_size=12).hexdigest()
        return Problem(id=digest, prompt=text, answer=reference)

    def split(self, query: str, prompt: str) -> str:
        """The completion in a query, which is the prompt and the completion.

        Raises:
            DataError: if the query does not hold the prompt.
        """
        if not prompt:
            raise DataError("the prompt holds no problem")
        _, found, completion = query.partition(prompt)
        if not found:
            raise DataError(f"the query {query[:80]!r} does not hold its prompt {prompt[:80]!r}")
        return completion


def _said_by(messages: Sequence[Message], role: str) -> str:
    return "".join(_content(message) for message in messages if message.get("role") == role)


def _content(message: Message) -> str:
    """The text of a message, be it one text or parts of several kinds."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    if not isinstance(content, Sequence):
        return ""
    parts = cast("Sequence[object]", content)
    return "".join(
        str(cast("Message", part).get("text", "")) for part in parts if isinstance(part, Mapping)
    )
