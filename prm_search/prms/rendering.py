"""A trajectory as a PRM reads it, with a name for each prefix that ends in a score."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import accumulate
from typing import Protocol, cast

from prm_search.errors import ConfigurationError
from prm_search.prms.family import AnswerFamily, EarlyFamily, PrmFamily
from prm_search.tokens import Tokenizer


@dataclass(frozen=True, kw_only=True, slots=True)
class RenderedSolution:
    """Token ids of a question and its steps."""

    token_ids: tuple[int, ...]
    positions: tuple[int, ...]
    """[num_steps] where each step is scored, in rising order."""
    keys: tuple[bytes, ...]
    """[num_steps] a hash of all tokens up to and including that position."""
    num_question_tokens: int
    """Of the beginning that all solutions of a problem share; may be 0."""


def render(
    question: Sequence[int], steps: Sequence[Sequence[int]], *, num_tokens_after_score: int = 0
) -> RenderedSolution:
    """Append steps to a question.

    Args:
        question: token ids.
        steps: [num_steps] token ids of each.
        num_tokens_after_score: how many tokens of a step come after the one where it is scored.
    """
    parts = [tuple(question), *(tuple(step) for step in steps)]
    token_ids = tuple(token for part in parts for token in part)
    ends = [end - num_tokens_after_score for end in accumulate(map(len, parts))][1:]
    digest = hashlib.blake2b(digest_size=16)
    keys: list[bytes] = []
    for start, end in zip([0, *ends], ends, strict=False):
        digest.update(array("q", token_ids[start:end]).tobytes())
        keys.append(digest.copy().digest())
    return RenderedSolution(
        token_ids=token_ids,
        positions=tuple(end - 1 for end in ends),
        keys=tuple(keys),
        num_question_tokens=len(parts[0]),
    )


class Renderer(Protocol):
    """Renders solutions for one PRM."""

    def __call__(self, problem: str, steps: Sequence[str]) -> tuple[RenderedSolution, ...]:
        """What the model reads in order to score each step.

        Args:
            problem: the question.
            steps: [num_steps] texts.

        Returns:
            One or several inputs; their positions are those of the steps, one after another.

        Raises:
            EmptyStepError: if a step has no content.
        """
        ...


def renderer_of(
    family: PrmFamily | AnswerFamily, tokenizer: Tokenizer, *, system_prompt: str | None = None
) -> Renderer:
    """What renders solutions for PRMs of a family.

    Args:
        family: of the PRM.
        tokenizer: the model's own.
        system_prompt: None leaves it to the family.

    Raises:
        ConfigurationError: if the family is of another kind.
    """
    kind = cast("object", family)  # a configuration can name any class
    if isinstance(kind, AnswerFamily):
        return AnswerRenderer(kind, tokenizer, system_prompt=system_prompt)
    if isinstance(kind, PrmFamily):
        return StepRenderer(kind, tokenizer, system_prompt=system_prompt)
    raise ConfigurationError(
        f"prm.family: {type(kind).__name__} says neither how questions and steps are shown to a "
        "model nor how whole answers are"
    )


class StepRenderer:
    """One input in which all steps are scored. What was seen before is not tokenised again."""

    def __init__(
        self, family: PrmFamily, tokenizer: Tokenizer, *, system_prompt: str | None
    ) -> None:
        self.question = lru_cache(maxsize=4096)(
            partial(family.question, tokenizer, system_prompt=system_prompt)
        )
        self.step = lru_cache(maxsize=65536)(partial(family.step, tokenizer))
        is_early = isinstance(family, EarlyFamily)
        self._num_tokens_after_score = family.num_tokens_after_score if is_early else 0

    def __call__(self, problem: str, steps: Sequence[str]) -> tuple[RenderedSolution, ...]:
        """See `Renderer`."""
        rendered = [self.step(text, is_first=index == 0) for index, text in enumerate(steps)]
        return (
            render(
                self.question(problem),
                rendered,
                num_tokens_after_score=self._num_tokens_after_score,
            ),
        )


class AnswerRenderer:
    """One input for each step: the prefix that it ends, as if that were the whole answer."""

    def __init__(
        self, family: AnswerFamily, tokenizer: Tokenizer, *, system_prompt: str | None
    ) -> None:
        self._answer = partial(family.answer, tokenizer, system_prompt=system_prompt)

    def __call__(self, problem: str, steps: Sequence[str]) -> tuple[RenderedSolution, ...]:
        """See `Renderer`."""
        ends = range(1, len(steps) + 1)
        return tuple(render((), [self._answer(problem, steps[:end])]) for end in ends)
