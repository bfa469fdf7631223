"""Find training problems that are in evaluation sets.

A problem is found if its text, but for case and white space, is that of an evaluation problem
(exact), or if the two share too many runs of n words (overlap; Brown et al. 2020, arXiv
2005.14165, appendix C, with 13 words).
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TypeAlias

from prm_search.data.columns import optional_text_of, text_of
from prm_search.data.files import Row, read_file
from prm_search.data.loaded import SetAside
from prm_search.errors import ConfigurationError, DataError

_Words: TypeAlias = tuple[str, ...]

_WORD = re.compile(r"\w+")
_ID_COLUMNS = ("id", "unique_id", "idx", "problem_id")


class MatchKind(StrEnum):
    """How a problem is like an evaluation problem."""

    exact = "exact"
    overlap = "overlap"


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationText:
    """A problem of an evaluation set, as it stands in one column of a row."""

    file: str
    row: int
    """1-based."""
    row_id: str | None
    column: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Match:
    """Where a training problem was found."""

    kind: MatchKind
    share: float
    """Of the shorter problem's runs of words, how many the other has too; in (0, 1]."""
    found: EvaluationText

    def __str__(self) -> str:
        found = self.found
        what = (
            "is" if self.kind is MatchKind.exact else f"shares {self.share:.0%} of its words with"
        )
        return f"the problem {what} {found.column!r} of {found.file}:{found.row}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Decontamination:
    """Which training problems are to be removed."""

    files: list[str] = field(default_factory=list[str])
    """Evaluation sets: JSON Lines, JSON or Parquet files of rows in any format."""
    columns: list[str] = field(
        default_factory=lambda: [
            "problem",
            "question",
            "prompt",
            "original_question",
            "modified_question",
        ]
    )
    """Columns that hold the text of a problem. A row may have several of them."""
    num_words: int = 13
    """Length of the runs of words that are compared. Shorter problems must match exactly."""
    min_share: float = 0.5
    """A problem is removed if it shares at least so much of the shorter one's runs, in (0, 1]."""

    def __post_init__(self) -> None:
        if not self.columns:
            raise ConfigurationError("decontamination.columns is empty; name a column")
        if self.num_words < 1:
            raise ConfigurationError(
                f"decontamination.num_words must be at least 1, not {self.num_words}"
            )
        if not 0 < self.min_share <= 1:
            raise ConfigurationError(
                f"decontamination.min_share must be above 0 and at most 1, not {self.min_share}"
            )

    def load(self) -> EvaluationIndex:
        """Read the evaluation sets.

        Raises:
            DataError: if a file cannot be read, or has a row without any of the columns. Nothing
                is left out: what is not compared would count as clean.
        """
        texts = [text for name in self.files for text in _texts(Path(name), self.columns)]
        return EvaluationIndex(texts, num_words=self.num_words, min_share=self.min_share)


class EvaluationIndex:
    """Evaluation problems, to be looked up by their words."""

    def __init__(
        self, texts: Sequence[EvaluationText], *, num_words: int, min_share: float
    ) -> None:
        """Index some evaluation problems; see `Decontamination`."""
        self._texts = texts
        self._num_words = num_words
        self._min_share = min_share
        self._exact: dict[str, int] = {}
        self._runs: dict[_Words, list[int]] = defaultdict(list)
        self._num_runs: list[int] = []
        for index, text in enumerate(texts):
            self._exact.setdefault(_normalized(text.text), index)
            runs = _runs(text.text, num_words)
            self._num_runs.append(len(runs))
            for run in runs:
                self._runs[run].append(index)

    def __len__(self) -> int:
        return len(self._texts)

    def find(self, text: str) -> Match | None:
        """The evaluation problem that is most like a text, if it is like one."""
        index = self._exact.get(_normalized(text))
        if index is not None:
            return Match(kind=MatchKind.exact, share=1.0, found=self._texts[index])
        runs = _runs(text, self._num_words)
        shared = Counter(index for run in runs for index in self._runs.get(run, ()))
        shares = {
            index: count / min(len(runs), self._num_runs[index]) for index, count in shared.items()
        }
        if not shares:
            return None
        best = min(shares, key=lambda index: (-shares[index], index))
        if shares[best] < self._min_share:
            return None
        return Match(kind=MatchKind.overlap, share=shares[best], found=self._texts[best])


def _texts(file: Path, columns: Sequence[str]) -> list[EvaluationText]:
    texts: list[EvaluationText] = []
    for item in read_file(str(file)):
        if isinstance(item, SetAside):
            raise DataError(f"evaluation set {item}")
        number, row = item
        found = [column for column in columns if column in row]
        if not found:
            raise DataError(
                f"evaluation set {file}:{number}: none of the columns {', '.join(columns)} is "
                f"among {', '.join(sorted(row))}; set decontamination.columns"
            )
        for column in found:
            try:
                text = text_of(row, column)
            except DataError as error:
                raise DataError(f"evaluation set {file}:{number}: {error}") from error
            texts.append(
                EvaluationText(
                    file=str(file), row=number, row_id=_id(row), column=column, text=text
                )
            )
    return texts


def _id(row: Row) -> str | None:
    return next((optional_text_of(row, column) for column in _ID_COLUMNS if column in row), None)


def _normalized(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", text).casefold().split())


def _runs(text: str, num_words: int) -> set[_Words]:
    words = _WORD.findall(unicodedata.normalize("NFKC", text).casefold())
    return {tuple(words[start : start + num_words]) for start in range(len(words) - num_words + 1)}
