"""The judge of "The Lessons of Developing Process Reward Models" (arXiv 2501.07301, appendix C).

Tagged paragraphs, numbered from 1; the critique has an analysis of each paragraph up to the first
wrong one, and a conclusion. The wording is this project's own; what the judge is given and must
return is the paper's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from prm_search.errors import JudgeError
from prm_search.types import Failure, Verdict

_MESSAGE = """\
You check a solution to a math problem, paragraph by paragraph. The problem stands in \
<math_problem>, the solution in tagged paragraphs <paragraph_1>, <paragraph_2>, …

<math_problem>
{problem}
</math_problem>

<solution>
{paragraphs}
</solution>

Go through the paragraphs in order:

1. For each paragraph, check what it claims and computes: logic, arithmetic, algebra, and whether \
it fits the problem and the paragraphs before it.
2. Write what you find between <analysis_i> and </analysis_i>, where i is the number of the \
paragraph.
3. If a paragraph has a mistake, say there what the mistake is and how it could be corrected. \
Stop after it: later paragraphs are not analysed.
4. End with <conclusion>Correct</conclusion> if no paragraph has a mistake, or with \
<conclusion>Incorrect</conclusion> if the paragraph analysed last has one.

Use exactly this form:

<analysis_1>
…
</analysis_1>
<analysis_2>
…
</analysis_2>
<conclusion>
Correct or Incorrect
</conclusion>"""

_ANALYSIS = re.compile(r"<\s*analysis[_ ](\d+)\s*>", re.IGNORECASE)
_CONCLUSION = re.compile(r"<\s*conclusion\s*>\W*(\w+)\W*(?:<|\Z)", re.IGNORECASE)
_THOUGHTS = re.compile(r".*</think>", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, kw_only=True, slots=True)
class LessonsCritique:
    """Asks for an analysis of each paragraph and a conclusion, as the Lessons paper does."""

    def render(self, prompt: str, steps: Sequence[str]) -> str:
        """The message to the judge."""
        paragraphs = "\n\n".join(
            f"<paragraph_{number}>\n{step.strip()}\n</paragraph_{number}>"
            for number, step in enumerate(steps, start=1)
        )
        return _MESSAGE.format(problem=prompt.strip(), paragraphs=paragraphs)

    def parse(self, critique: str, num_steps: int) -> Verdict | Failure:
        """The verdict in a critique: if it is "Incorrect", the last paragraph analysed is wrong.

        Only opening tags count, because judges close analyses with wrong numbers, as the paper's
        own example does. What a model thinks before it answers is not read.

        Returns:
            A verdict; or a failure if there is no conclusion or several different ones, or if it
            is "Incorrect" and the analyses do not say where: there are none, they are not in
            ascending order, or the last is of a paragraph that does not exist.
        """
        text = _THOUGHTS.sub("", critique)
        conclusions = {word.lower() for word in _CONCLUSION.findall(text)}
        if conclusions == {"correct"}:
            return Verdict(first_error=None, critique=critique)
        if conclusions != {"incorrect"}:
            found = " and ".join(sorted(conclusions)) or "missing"
            return _unreadable(f"its conclusion is {found}, not Correct or Incorrect", text)
        numbers = [int(number) for number in _ANALYSIS.findall(text)]
        if not numbers:
            return _unreadable("it concludes Incorrect without an analysis", text)
        if numbers != sorted(set(numbers)):
            return _unreadable(f"its analyses are not in order: {numbers}", text)
        if not 1 <= numbers[-1] <= num_steps:
            reason = f"analysis {numbers[-1]}, but there are {num_steps} paragraphs"
            return _unreadable(reason, text)
        return Verdict(first_error=numbers[-1] - 1, critique=critique)


def _unreadable(reason: str, critique: str) -> Failure:
    return Failure.of(
        JudgeError(f"cannot read the critique: {reason}; it ends in {critique[-80:]!r}")
    )
