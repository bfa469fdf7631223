"""ThinkPRM (arXiv 2504.16828): a chain of thought over all steps so far, then Yes or No.

The wording is this project's own; what the model is given and must return is the paper's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from prm_search.prms.generative import WrittenVerdict, read_only_verdict
from prm_search.prms.template import check_fields, fill
from prm_search.types import Failure

_OPENING = "Is the solution correct?"

_TEMPLATE = """\
Here are a math problem and the steps of a proposed solution:

[Math Problem]

{problem}

[Solution]

{steps}

Review the proposed solution step by step and say of each step whether it is correct. Verify only \
the steps that are there, even if the solution is not complete."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ThinkPrm:
    r"""Asks whether all steps so far are right; so after a wrong step, all steps are wrong.

    The chain has `\boxed{correct}` or `\boxed{incorrect}` for each step and ends in "Is the
    solution correct? Yes" (or No), which the score is read at. A chain is written for each prefix,
    which is what the authors' search does. Source: ThinkPRM (arXiv 2504.16828), section 3.
    """

    template: str = _TEMPLATE
    """The message: a text with {problem} and {steps} in it. A model that was trained on another
    wording scores best with that one."""

    def __post_init__(self) -> None:
        check_fields(self.template, "problem", "steps")

    @property
    def verdicts(self) -> tuple[str, str]:
        """How "wrong" and "right" are written."""
        return " No", " Yes"

    def message(self, problem: str, steps: Sequence[str]) -> str:
        """What the model is asked about the last of some steps."""
        numbered = [f"Step {number}: {step.strip()}" for number, step in enumerate(steps, start=1)]
        return fill(self.template, problem=problem, steps="\n".join(numbered))

    def read(self, analysis: str) -> WrittenVerdict | Failure:
        """The last verdict of a chain, if that is its end."""
        thought, opening, verdict = analysis.rpartition(_OPENING)
        found = read_only_verdict(opening + verdict, opening=_OPENING, verdicts=self.verdicts)
        if isinstance(found, Failure):
            return found
        return replace(found, start=found.start + len(thought))
