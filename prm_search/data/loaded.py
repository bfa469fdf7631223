"""What loading a data set gives, and how loaders are called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from prm_search.types import Problem


@dataclass(frozen=True, kw_only=True, slots=True)
class SetAside:
    """A row that could not be used, and why. The other rows are kept."""

    file: str
    """A path, or the name of a data set on the Hub."""
    row: int
    """1-based. In JSON Lines files the number of the line."""
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.row}: {self.reason}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """The problems of a data set, and the rows that are not among them."""

    problems: tuple[Problem, ...]
    set_aside: tuple[SetAside, ...] = ()


class ProblemLoader(Protocol):
    """A source of problems. A frozen dataclass: its fields say which problems."""

    def load(self) -> Loaded:
        """Load the problems.

        Raises:
            DataError: if there is nothing to load, or no row of it can be used.
        """
        ...
