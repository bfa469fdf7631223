"""Text to token ids: what is needed of a tokenizer, and how questions and steps are encoded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from prm_search.errors import ConfigurationError


class Tokenizer(Protocol):
    """What is used of a Hugging Face tokenizer."""

    @property
    def chat_template(self) -> object:
        """None if the model is no chat model."""
        ...

    @property
    def special_tokens_map(self) -> Mapping[str, object]:
        """Tokens with a meaning, by what they are called (`bos_token`, …)."""
        ...

    def encode(
        self, text: str, *, add_special_tokens: bool = ..., split_special_tokens: bool = ...
    ) -> list[int]:
        """The token ids of a text."""
        ...

    def apply_chat_template(
        self,
        conversation: list[dict[str, str]],
        *,
        tokenize: bool = ...,
        add_generation_prompt: bool = ...,
    ) -> object:
        """A conversation as the model reads it."""
        ...


def question_tokens(
    tokenizer: Tokenizer,
    message: str,
    *,
    system_prompt: str | None = None,
    prompt_template: str | None = None,
) -> tuple[int, ...]:
    """A message to a model, up to where its answer begins.

    Args:
        tokenizer: the model's own.
        message: what the user says.
        system_prompt: None leaves it to the chat template.
        prompt_template: text with {problem} in it, used instead of the chat template.

    Raises:
        ConfigurationError: if there is no template at all.
    """
    if prompt_template is not None:
        text = prompt_template.replace("{problem}", message)
        return tuple(tokenizer.encode(text, add_special_tokens=True))
    if tokenizer.chat_template is None:
        raise ConfigurationError(
            "the model's tokenizer has no chat template; set prompt_template, "
            "for example 'Problem: {problem}\\nSolution: '"
        )
    conversation = [{"role": "user", "content": message}]
    if system_prompt is not None:
        conversation.insert(0, {"role": "system", "content": system_prompt})
    text = tokenizer.apply_chat_template(conversation, tokenize=False, add_generation_prompt=True)
    # The template has written every special token that the model wants.
    return tuple(tokenizer.encode(str(text), add_special_tokens=False))


def text_tokens(tokenizer: Tokenizer, text: str) -> tuple[int, ...]:
    """A model's answer, or a part of it, in which nothing is read as a special token."""
    return tuple(tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True))


def following_tokens(tokenizer: Tokenizer, before: str, text: str) -> tuple[int, ...]:
    """A part of an answer as it is tokenised after another, where no beginning is marked.

    Raises:
        ConfigurationError: if the two grow together, so that the part has no tokens of its own.
    """
    start, whole = text_tokens(tokenizer, before), text_tokens(tokenizer, before + text)
    if whole[: len(start)] != start:
        raise ConfigurationError(
            f"the model's tokenizer joins {before!r} with what follows it, such as {text[:20]!r}"
        )
    return whole[len(start) :]
