r"""Critiques of sandbox solutions, as the sandbox judge learns to write them.

One line per step: its 0-based index, how a right step would work it out, the value that the
step got, and a verdict. The critique stops at the first wrong step and ends in its index, or -1
if every step is right.

    0 Ann: 12 is given, got 12. Right
    1 Ben: Ann=12 and 12+7=19, got 19. Right
    2 Cat: Ben=19 and 19-4=15, got 23. Wrong
    \boxed{2}
"""

from __future__ import annotations

from collections.abc import Sequence

from prm_search.sandbox.oracle import check_steps
from prm_search.sandbox.solutions import right_claim
from prm_search.sandbox.wording import read_answer, read_problem, read_step, write_step


def write_critique(prompt: str, steps: Sequence[str]) -> str:
    """The true critique of a solution.

    Raises:
        ValueError: if the prompt is not a sandbox problem.
    """
    world = read_problem(prompt)
    known: dict[str, int] = {}
    lines: list[str] = []
    verdict = -1
    for index, (text, error) in enumerate(zip(steps, check_steps(prompt, steps), strict=True)):
        claim = read_step(text)
        quantity = world.find(claim.name) if claim else None
        answer = read_answer(text)
        if answer is not None:
            expected = f"{world.asked}={known.get(world.asked)}, got {answer}."
        elif claim is None or quantity is None:
            expected = "This cannot be read."
        elif any(name not in known for name in quantity.operands):
            expected = "This comes too early."
        else:
            working = write_step(right_claim(quantity, known)).split(", so ")[0]
            expected = f"{working}, got {claim.conclusion}."
        lines.append(f"{index} {expected} {'Right' if error is None else 'Wrong'}")
        if error is not None:
            verdict = index
            break
        if claim is not None:
            known[claim.name] = claim.conclusion
    return "\n".join([*lines, rf"\boxed{{{verdict}}}"])
