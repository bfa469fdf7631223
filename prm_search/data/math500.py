"""MATH-500: 500 competition problems of five levels.

Hendrycks et al. 2021, Measuring Mathematical Problem Solving With the MATH Dataset, arXiv
2103.03874; the 500 of Lightman et al. 2023, Let's Verify Step by Step, arXiv 2305.20050.
"""

from __future__ import annotations

from dataclasses import dataclass

from prm_search.data.rows import Rows


@dataclass(frozen=True, kw_only=True)
class Math500(Rows):
    """MATH-500. Solution, subject and level are in the metadata."""

    name: str | None = "HuggingFaceH4/MATH-500"
    id_column: str | None = "unique_id"
    answer_column: str | None = "answer"
