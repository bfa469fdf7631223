"""Final answers: finding them in solutions, and telling whether two are the same."""

from __future__ import annotations

from prm_search.grading.equivalence import GraderSettings, MathGrader
from prm_search.grading.extraction import AnswerPattern, extract_answer
from prm_search.grading.normalization import normalize
from prm_search.grading.pool import Comparison

__all__ = [
    "AnswerPattern",
    "Comparison",
    "GraderSettings",
    "MathGrader",
    "extract_answer",
    "normalize",
]
