"""What a family of generative PRMs must say about itself.

message(problem, steps 0 … k) ──► the model writes ──► "… so it holds. Verification: … Yes"
                                                                                      ▲
                   P(step k is right) = P(right) / (P(right) + P(wrong)) at this token ┘
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

from prm_search.errors import ConfigurationError, ScoringError
from prm_search.tokens import Tokenizer, text_tokens
from prm_search.types import Failure


@dataclass(frozen=True, kw_only=True, slots=True)
class WrittenVerdict:
    """What an analysis says in the end."""

    is_right: bool
    start: int
    """Characters of the analysis before the verdict's own text."""


class GenerativeFamily(Protocol):
    """How generative PRMs of one kind are asked about a step, and how their analysis is read.

    They are asked about one step at a time, and see the steps before it and none after it. They
    write an analysis, which says one of two verdicts.
    """

    @property
    def verdicts(self) -> tuple[str, str]:
        """How "wrong" and "right" are written, with the space before them."""
        ...

    def message(self, problem: str, steps: Sequence[str]) -> str:
        """What the model is asked about the last of some steps.

        Args:
            problem: the question.
            steps: texts of the steps so far, at least one, with or without separators.
        """
        ...

    def read(self, analysis: str) -> WrittenVerdict | Failure:
        """The verdict of a complete analysis, or why it has none that can be read."""
        ...


def verdict_tokens(family: GenerativeFamily, tokenizer: Tokenizer) -> tuple[int, int]:
    """The first tokens of the verdicts "wrong" and "right", by which they are told apart.

    Raises:
        ConfigurationError: if both begin with the same token.
    """
    wrong, right = (text_tokens(tokenizer, text)[0] for text in family.verdicts)
    if wrong == right:
        raise ConfigurationError(
            "prm.family: the verdicts {!r} and {!r} begin with the same token of the model; "
            "it cannot be read which of them is likelier".format(*family.verdicts)
        )
    return wrong, right


def token_at(pieces: Sequence[str], start: int) -> int | None:
    """The index of the token that begins at a character; None if that is within a token.

    Args:
        pieces: [num_tokens] the text that each token adds.
        start: characters before it.
    """
    ends = list(accumulate(map(len, pieces)))
    for index, (piece, end) in enumerate(zip(pieces, ends, strict=True)):
        if piece and end - len(piece) == start:
            return index
    return None


def read_only_verdict(
    analysis: str,
    *,
    opening: str,
    verdicts: tuple[str, str],
    closings: tuple[str, ...] = ("", "."),
) -> WrittenVerdict | Failure:
    """The verdict of an analysis that has exactly one, at its very end.

    Args:
        analysis: what the model wrote.
        opening: the text before each verdict.
        verdicts: how "wrong" and "right" are written.
        closings: what may follow the verdict, apart from white space.
    """
    either = "|".join(map(re.escape, verdicts))
    found = list(re.finditer(rf"{re.escape(opening)}({either})", analysis))
    if len(found) != 1:
        return unreadable(f"it has {len(found)} verdicts instead of one", analysis)
    if analysis[found[0].end() :].strip() not in closings:
        return unreadable("it goes on after its verdict", analysis)
    return WrittenVerdict(is_right=found[0][1] == verdicts[1], start=found[0].start(1))


def unreadable(reason: str, analysis: str) -> Failure:
    """The failure that an analysis without a verdict is."""
    return Failure.of(
        ScoringError(f"cannot read the analysis: {reason}; it ends in {analysis[-80:]!r}")
    )
