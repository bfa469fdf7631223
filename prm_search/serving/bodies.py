"""What clients send, checked. What the frameworks send follows their own protocols."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from prm_search.serving.settings import MAX_ITEMS


def _encodable(text: str) -> str:
    """Refuses half a character: JSON can spell it, but no tokenizer can read it."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"half of a surrogate pair at character {error.start}") from error
    return text


Text = Annotated[str, AfterValidator(_encodable)]
PlainNumber = Annotated[float, Field(allow_inf_nan=False)]
Answer = Text | int | PlainNumber | None
"""A reference answer, where one is known."""


def _list_field(**options: Any) -> Any:
    """A list that is not read further than it may be, nor beyond its first wrong item."""
    return Field(max_length=MAX_ITEMS, fail_fast=True, **options)


class _Own(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class _Foreign(BaseModel):
    """A body by somebody else's protocol, which may say more than is needed here."""

    model_config = ConfigDict(strict=True, extra="ignore")


class RolloutBody(_Own):
    """A completion as one text or as steps."""

    problem: Text = Field(min_length=1)
    """The problem as the PRM shall see it, without a chat template."""
    completion: Text | None = None
    steps: list[Text] | None = _list_field(default=None)
    """Their separators included: joined, they are the completion."""
    answer: Answer = None
    is_truncated: bool | None = None
    """Whether the token limit cut the completion off; null if that is not known."""
    group: Text | None = None
    """Rollouts of one group are compared with each other; null groups equal problems."""

    @model_validator(mode="after")
    def _has_one_text(self) -> RolloutBody:
        if (self.completion is None) == (self.steps is None):
            raise ValueError("give either completion or steps")
        for index, step in enumerate(self.steps or ()):
            if not step.strip():
                raise ValueError(f"step {index} has no content; join it to the one before it")
        return self


class RewardsBody(_Own):
    """`POST /v1/rewards`."""

    rollouts: list[RolloutBody] = _list_field(min_length=1)


class OpenRlhfBody(_Foreign):
    """`POST /get_reward`, as OpenRLHF sends it."""

    query: list[Text] = _list_field(min_length=1)
    """Prompt and response, special tokens kept."""
    prompts: list[Text] = _list_field()
    labels: list[Answer] | None = _list_field(default=None)

    @model_validator(mode="after")
    def _are_as_many(self) -> OpenRlhfBody:
        for name, values in (("prompts", self.prompts), ("labels", self.labels)):
            if values is not None and len(values) != len(self.query):
                raise ValueError(f"{name} has {len(values)} items, query has {len(self.query)}")
        return self


class MessageBody(_Foreign):
    """A chat message."""

    role: str
    content: Text


class SlimeBody(_Foreign):
    """`POST /slime`, as slime's remote_rm sends it."""

    prompt: Text | Annotated[list[MessageBody], _list_field()]
    response: Text
    label: Answer = None
