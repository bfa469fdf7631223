"""What families of PRMs have to refuse, each in the same words."""

from __future__ import annotations

from collections.abc import Sequence

from prm_search.errors import ConfigurationError, EmptyStepError
from prm_search.tokens import Tokenizer


def step_content(text: str) -> str:
    """A step without the white space around it.

    Raises:
        EmptyStepError: if nothing is left.
    """
    content = text.strip()
    if not content:
        raise EmptyStepError(f"a step without content cannot be scored: {text!r}")
    return content


def one_token(tokenizer: Tokenizer, text: str, field: str) -> int:
    """The token that stands for a text.

    Args:
        tokenizer: the model's own.
        text: what must be one token.
        field: the setting that the text comes from.

    Raises:
        ConfigurationError: naming the field, if it is more than one or none.
    """
    tokens = tokenizer.encode(text, add_special_tokens=False)
    if len(tokens) != 1:
        raise ConfigurationError(f"{field}: {text!r} is not one token of the model")
    return tokens[0]


def verdict_pair(tokenizer: Tokenizer, *, wrong: str, right: str) -> tuple[int, int]:
    """The tokens of the two verdicts that a family has as `wrong` and `right`.

    Raises:
        ConfigurationError: if they are the same, or one of them is not one token.
    """
    if wrong == right:
        raise ConfigurationError(f"prm.family: wrong and right are both {right!r}")
    return (
        one_token(tokenizer, wrong, "prm.family.wrong"),
        one_token(tokenizer, right, "prm.family.right"),
    )


def special_token(tokenizer: Tokenizer, name: str, family: object) -> str:
    """A special token that the model's tokenizer must have.

    Args:
        tokenizer: of the model.
        name: what it calls the token.
        family: that needs it.

    Raises:
        ConfigurationError: if the tokenizer has none.
    """
    token = tokenizer.special_tokens_map.get(name)
    if not isinstance(token, str):
        raise ConfigurationError(
            f"prm.family: {type(family).__name__} needs the {name} of the model's tokenizer, "
            "which has none"
        )
    return token


def require_outputs(row: Sequence[float], count: int, family: object) -> None:
    """Refuse a head of another kind than a family reads.

    Raises:
        ConfigurationError: saying how many outputs are read, unless there are so many.
    """
    if len(row) != count:
        raise ConfigurationError(
            f"prm.family: {type(family).__name__} reads a head with {count} outputs, but the "
            f"model's head has {len(row)}; take the family that the model was trained as"
        )


def refuse_system_prompt(system_prompt: str | None, family: object) -> None:
    """Refuse a system prompt that would not be shown.

    Raises:
        ConfigurationError: if there is one.
    """
    if system_prompt is not None:
        raise ConfigurationError(
            f"prm.system_prompt: models of the family {type(family).__name__} are shown none; "
            "set it to null"
        )
