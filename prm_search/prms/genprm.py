r"""GenPRM's analyses (arXiv 2504.00891) of one paragraph, with a boxed Yes or No at the end.

For models of your own. The released ones are shown their own analyses of earlier paragraphs in a
dialogue, and the output of code that they write; neither is done here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prm_search.prms.generative import WrittenVerdict, read_only_verdict
from prm_search.prms.template import check_fields, fill
from prm_search.types import Failure

_TEMPLATE = """\
You are a math teacher. Review the last paragraph of a solution; the paragraphs before it have \
been reviewed.

Question: {problem}

{steps}

Analyze the last paragraph step by step between <analyze> and </analyze>. Then give your judgement \
in this form, with Yes if the paragraph is correct and No if it is not:
<output>
**Judgement**: $\\boxed{Yes}$
</output>"""


@dataclass(frozen=True, kw_only=True, slots=True)
class GenPrm:
    """Asks for an analysis of the last paragraph, and reads the judgement in the box."""

    template: str = _TEMPLATE
    """The message: a text with {problem} and {steps} in it."""

    def __post_init__(self) -> None:
        check_fields(self.template, "problem", "steps")

    @property
    def verdicts(self) -> tuple[str, str]:
        """How "wrong" and "right" are written."""
        return "No", "Yes"

    def message(self, problem: str, steps: Sequence[str]) -> str:
        """What the model is asked about the last of some steps."""
        numbered = [f"Paragraph {index}: {step.strip()}" for index, step in enumerate(steps, 1)]
        return fill(self.template, problem=problem, steps="\n\n".join(numbered))

    def read(self, analysis: str) -> WrittenVerdict | Failure:
        """The judgement of an analysis that has exactly one box, at its very end."""
        return read_only_verdict(
            analysis,
            opening="\\boxed{",
            verdicts=self.verdicts,
            closings=("}", "}$", "}$\n</output>"),
        )
