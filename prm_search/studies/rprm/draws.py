"""What each problem adds to all numbers, resampled together.

All PRMs are asked about the same solutions of the same problems, so a difference between two
numbers is computed on the same resampled problems: a paired bootstrap, within each level.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from prm_search.evaluation.first_error import f1
from prm_search.seeds import derive_seed
from prm_search.statistics import NUM_RESAMPLES, resample_sums

Array: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """What a problem adds to the sums."""

    level: str
    columns: Mapping[str, Sequence[float]]
    """The same names with as many numbers for all problems."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Draws:
    """Sums over the problems of each level, and over resamples of them."""

    places: Mapping[str, slice]
    """Where the numbers of a name stand."""
    sums: Array
    """[num_levels, 1 + num_resamples, num_columns]; the first is the data."""
    num_problems: int

    def f1(self, name: str) -> Array:
        """Unweighted mean over the levels of the first-error F1. [1 + num_resamples]

        Args:
            name: of columns that begin with the five counts of first errors.
        """
        return np.mean(f1(self.sums[..., self.places[name]][..., :5]), axis=0)

    def mean(self, name: str, place: int = 0) -> Array:
        """A number per problem. [1 + num_resamples]"""
        return self._total(name, place) / self.num_problems

    def ratio(self, name: str, part: int, whole: int) -> Array:
        """The quotient of two numbers. [1 + num_resamples]"""
        return self._total(name, part) / self._total(name, whole)

    def _total(self, name: str, place: int) -> Array:
        return self.sums[..., self.places[name]][..., place].sum(axis=0)


def draws(rows: Sequence[Row], *, seed: int = 0, num_resamples: int = NUM_RESAMPLES) -> Draws:
    """Resample problems within each level, all numbers together.

    Args:
        rows: at least one.
        seed: of the bootstrap.
    """
    places: dict[str, slice] = {}
    end = 0
    for name, values in rows[0].columns.items():
        places[name] = slice(end, end + len(values))
        end += len(values)
    levels: dict[str, list[list[float]]] = {}
    for row in rows:
        levels.setdefault(row.level, []).append(
            [value for name in places for value in row.columns[name]]
        )
    sums: list[Array] = []
    for level in sorted(levels):
        counts = np.array(levels[level], dtype=np.float64)
        drawn = resample_sums(counts, seed=derive_seed(seed, level), num_resamples=num_resamples)
        sums.append(np.concatenate([counts.sum(axis=0)[None], drawn]))
    return Draws(places=places, sums=np.stack(sums), num_problems=len(rows))
