r"""The critique format of ProcessBench (arXiv 2412.06559, appendix): tagged paragraphs, 0-based.

The wording is this project's own; what the judge is given and must return is the benchmark's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prm_search.judging.boxed import read_boxed_index
from prm_search.types import Failure, Verdict

_MESSAGE = """\
Below are a math problem and a solution to it. The solution is cut into paragraphs, each \
between tags that carry its index, starting from 0.

[Problem]

{problem}

[Solution]

{paragraphs}

Check the solution paragraph by paragraph. When you meet a mistake, name the index of the \
paragraph in which the earliest mistake is made. When there is no mistake, use the index -1, \
which stands for "not found".

Write your critique first, and end with the index alone, in \\boxed{{}}."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessBenchCritique:
    """Asks for a critique as ProcessBench does."""

    def render(self, prompt: str, steps: Sequence[str]) -> str:
        """The message to the judge."""
        paragraphs = "\n\n".join(
            f"<paragraph_{index}>\n{step.strip()}\n</paragraph_{index}>"
            for index, step in enumerate(steps)
        )
        return _MESSAGE.format(problem=prompt, paragraphs=paragraphs)

    def parse(self, critique: str, num_steps: int) -> Verdict | Failure:
        """The verdict in a critique."""
        return read_boxed_index(critique, num_steps)
