"""GSM8K: grade school word problems.

Cobbe et al. 2021, Training Verifiers to Solve Math Word Problems, arXiv 2110.14168.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from prm_search.data.files import Row
from prm_search.data.rows import Rows
from prm_search.errors import DataError
from prm_search.grading.extraction import AnswerPattern, extract_answer
from prm_search.types import Problem


@dataclass(frozen=True, kw_only=True)
class Gsm8k(Rows):
    """GSM8K. The worked solution is in the metadata as "solution"."""

    name: str | None = "openai/gsm8k"
    subset: str | None = "main"
    prompt_column: str = "question"
    answer_column: str | None = "answer"

    def read_answer(self, text: str) -> str:
        """The number behind ####."""
        answer = extract_answer(text, [AnswerPattern.hashes])
        if answer is None:
            raise DataError(f"{self.answer_column!r} does not end with a line '#### answer'")
        return answer

    def _problem(self, number: int, row: Row) -> Problem:
        problem = super()._problem(number, row)
        if self.answer_column is None:
            return problem
        solution = row[self.answer_column]
        return replace(problem, metadata={**problem.metadata, "solution": solution})
