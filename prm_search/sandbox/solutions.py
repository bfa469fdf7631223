"""Solutions of sandbox problems: right ones, and flawed ones as a fallible policy writes them.

Two kinds of flaw, because they have opposite effects on voting. *Misconceptions* read a trap
wording the wrong way round; they agree with each other, so a majority can be wrong. *Slips*
hit any step at random; wrong answers that come from them scatter.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from prm_search.sandbox.wording import Claim, write_answer, write_step
from prm_search.sandbox.world import (
    SYMBOLS,
    TRAPS,
    TWO_OPERANDS,
    Kind,
    Quantity,
    World,
    compute,
)

_WRONG_SYMBOL = {"+": "-", "-": "+", "*": "+", "larger": "smaller", "smaller": "larger", "%": "-"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Flaws:
    """How often a writer of solutions errs."""

    misconception_share: float = 0.0
    """Chance in [0, 1] that a solution reads trap wordings the wrong way round."""
    slip_probability: float = 0.0
    """Chance in [0, 1] of a random slip, for each step."""


RIGHT = Flaws()


def write_solution(world: World, rng: random.Random, flaws: Flaws = RIGHT) -> list[str]:
    """One step for each quantity, in the order stated, and one for the answer.

    A flawed step is followed by steps that go on from its wrong value, as a policy does.
    """
    known: dict[str, int] = {}
    misread = rng.random() < flaws.misconception_share
    steps: list[str] = []
    for quantity in world.quantities:
        claim = right_claim(quantity, known)
        if quantity.kind is Kind.GIVEN:
            pass
        elif misread and quantity.kind in TRAPS:
            claim = _carry_out(quantity, claim.operands, _WRONG_SYMBOL[claim.symbol])
        elif rng.random() < flaws.slip_probability:
            claim = _slip(quantity, claim, known, rng)
        known[quantity.name] = claim.conclusion
        steps.append(write_step(claim))
    steps.append(write_answer(known[world.asked]))
    return steps


def right_claim(quantity: Quantity, known: dict[str, int]) -> Claim:
    """The step that works out a quantity rightly from the values in `known`.

    Raises:
        KeyError: if an operand is not known.
    """
    if quantity.kind is Kind.GIVEN:
        assert quantity.constant is not None
        return Claim(name=quantity.name, result=quantity.constant, conclusion=quantity.constant)
    operands = tuple((name, known[name]) for name in quantity.operands)
    return _carry_out(quantity, operands, SYMBOLS[quantity.kind])


def _carry_out(quantity: Quantity, operands: tuple[tuple[str, int], ...], symbol: str) -> Claim:
    left = operands[0][1]
    right = operands[1][1] if len(operands) == 2 else quantity.constant
    assert right is not None
    result = compute(symbol, left, right)
    return Claim(
        name=quantity.name,
        operands=operands,
        symbol=symbol,
        numbers=(left, right),
        result=result,
        conclusion=result,
    )


def _slip(quantity: Quantity, claim: Claim, known: dict[str, int], rng: random.Random) -> Claim:
    """A wrong version of a right claim; its value stays in the range that steps can state."""
    while True:
        match rng.choice(("arithmetic", "operand", "operation")):
            case "arithmetic":
                result = claim.result + rng.choice((-10, -2, -1, 1, 2, 10))
                slipped = Claim(
                    name=claim.name,
                    operands=claim.operands,
                    symbol=claim.symbol,
                    numbers=claim.numbers,
                    result=result,
                    conclusion=result,
                )
            case "operand":
                others = [name for name in known if name not in dict(claim.operands)]
                if not others:
                    continue
                other = rng.choice(others)
                kept = claim.operands[1:] if quantity.kind in TWO_OPERANDS else ()
                operands = ((other, known[other]), *kept)
                slipped = _carry_out(quantity, operands, claim.symbol)
            case _:
                slipped = _carry_out(quantity, claim.operands, _WRONG_SYMBOL[claim.symbol])
        if slipped != claim and 0 <= slipped.conclusion <= 999:
            return slipped
