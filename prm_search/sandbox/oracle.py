"""The oracle: the exact truth about any step of any text.

A step is right if it follows from the problem and from what the steps before it state. A step
that goes on rightly from a wrong value is therefore right itself; the error belongs to the
step that made it. This is the first-error convention of ProcessBench (arXiv 2412.06559).
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from prm_search.sandbox.wording import (
    GIVEN,
    Claim,
    read_answer,
    read_problem,
    read_step,
)
from prm_search.sandbox.world import SYMBOLS, Kind, World, compute


class StepError(StrEnum):
    """What is wrong with a step."""

    ARITHMETIC = "arithmetic"
    WRONG_OPERAND = "wrong_operand"
    WRONG_OPERATION = "wrong_operation"
    UNREADABLE = "unreadable"
    WRONG_FINAL_ANSWER = "wrong_final_answer"


def check_steps(prompt: str, steps: Sequence[str]) -> list[StepError | None]:
    """The error of each step, None where it is right. [num_steps]

    Raises:
        ValueError: if the prompt is not a sandbox problem.
    """
    world = read_problem(prompt)
    known: dict[str, int] = {}
    errors: list[StepError | None] = []
    for text in steps:
        answer = read_answer(text)
        if answer is not None:
            right = known.get(world.asked) == answer
            errors.append(None if right else StepError.WRONG_FINAL_ANSWER)
            continue
        claim = read_step(text)
        if claim is None:
            errors.append(StepError.UNREADABLE)
            continue
        errors.append(_check_claim(world, claim, known))
        known[claim.name] = claim.conclusion
    return errors


def first_error(prompt: str, steps: Sequence[str]) -> int | None:
    """0-based index of the first wrong step, None if every step is right.

    Raises:
        ValueError: if the prompt is not a sandbox problem.
    """
    errors = check_steps(prompt, steps)
    return next((index for index, error in enumerate(errors) if error is not None), None)


def _check_claim(world: World, claim: Claim, known: dict[str, int]) -> StepError | None:
    quantity = world.find(claim.name)
    if quantity is None:
        return StepError.UNREADABLE
    if (claim.symbol == GIVEN) != (quantity.kind is Kind.GIVEN):
        return StepError.WRONG_OPERATION
    if quantity.kind is Kind.GIVEN:
        if claim.result != quantity.constant:
            return StepError.WRONG_OPERAND
        return None if claim.conclusion == claim.result else StepError.ARITHMETIC
    uses_right_names = sorted(name for name, _ in claim.operands) == sorted(quantity.operands)
    if not uses_right_names or any(known.get(name) != value for name, value in claim.operands):
        return StepError.WRONG_OPERAND
    if claim.symbol != SYMBOLS[quantity.kind]:
        return StepError.WRONG_OPERATION
    expected = [value for _, value in claim.operands]
    if quantity.constant is not None:
        expected.append(quantity.constant)
    commutes = claim.symbol in ("+", "*", "larger", "smaller")
    numbers = list(claim.numbers)
    if numbers != expected and not (commutes and sorted(numbers) == sorted(expected)):
        return StepError.WRONG_OPERAND
    if claim.result != compute(claim.symbol, *claim.numbers) or claim.conclusion != claim.result:
        return StepError.ARITHMETIC
    return None
