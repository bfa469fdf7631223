"""R-PRM (arXiv 2503.21295): five analyses of one step, a conclusion, Yes or No.

The wording is this project's own; what the model is given and must return is the paper's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prm_search.prms.generative import WrittenVerdict, read_only_verdict
from prm_search.prms.template import check_fields, fill
from prm_search.types import Failure

_OPENING = "Is the step correct (Yes/No)?"
_NO_STEPS = "Since the Now Step is the first step, there are no Previous Steps."

_TEMPLATE = f"""\
You are an excellent math teacher. Verify whether the Now Step of a solution is correct.

First analyze the Previous Steps and the Now Step, then draw a conclusion from your analysis.

Analysis:
Write about each of these aspects under its heading.
**Previous Steps Analysis**: Go through the Previous Steps one by one. Say what each of them \
does, and look for an error in it.
**Now Step Analysis**: Say what the Now Step does, and which part of the Question it works on or \
which information it states.
**Data Source Analysis**: List the data that the Now Step uses. Name where each of them comes \
from, a part of the Question or one of the Previous Steps, and check that it is used as it \
stands there.
**Consistency Analysis**: Check that the Now Step agrees with the Previous Steps, and with itself.
**Calculation Analysis**: If the Now Step calculates anything, check it in another way, such as \
the reverse operation, and say whether the result is right.

Conclusion:
Say whether the Now Step is correct. It is wrong if there is any error in it, and correct \
otherwise. End with a line of the form "Verification: {_OPENING} X", where X is Yes or No.

Question: {{problem}}
Previous Steps: {{previous_steps}}
Now Step: {{now_step}}
Analyze carefully whether the Now Step is correct.
Reply:"""


@dataclass(frozen=True, kw_only=True, slots=True)
class RPrm:
    """Asks for R-PRM's analyses and reads the verdict at their end.

    Source: R-PRM (arXiv 2503.21295), section 3 and appendix.
    """

    template: str = _TEMPLATE
    """The message: a text with {problem}, {previous_steps} and {now_step} in it. A model that was
    trained on another wording scores best with that one."""

    def __post_init__(self) -> None:
        check_fields(self.template, "problem", "previous_steps", "now_step")

    @property
    def verdicts(self) -> tuple[str, str]:
        """How "wrong" and "right" are written."""
        return " No", " Yes"

    def message(self, problem: str, steps: Sequence[str]) -> str:
        """What the model is asked about the last of some steps."""
        *previous, now = (step.strip() for step in steps)
        return fill(
            self.template,
            problem=problem,
            previous_steps="\n".join(previous) or _NO_STEPS,
            now_step=now,
        )

    def read(self, analysis: str) -> WrittenVerdict | Failure:
        """The verdict of an analysis that has exactly one, at its very end."""
        return read_only_verdict(analysis, opening=_OPENING, verdicts=self.verdicts)
