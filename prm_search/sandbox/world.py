"""The sandbox world: who has how many, and how each number follows from others.

A `World` is a list of quantities in the order in which the problem states them. A quantity
is either given or follows from earlier ones by one operation, so its value is always known.

    given  Ann 12
    more   Ben = Ann + 7
    larger Cat = max(Ann, Ben)        absorbs errors in Ann
    asked  Cat
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

NAMES = (
    "Ann Ben Cat Dan Eva Fay Gus Hal Ida Jon Kim Leo Mia Ned Oli Pam Ray Sue Tom Uma".split()
)  # fmt: skip
ITEMS = ("shells", "coins", "cards", "beads", "stamps")

MAX_VALUE = 99
"""Every quantity is an integer in [0, MAX_VALUE]."""

NUM_OPERATIONS = {1: (2, 3), 2: (4, 5), 3: (6, 7), 4: (8, 9), 5: (10, 12)}
"""Level -> smallest and largest number of operations."""

LEVELS = tuple(NUM_OPERATIONS)


class Kind(StrEnum):
    """How a quantity follows from its operands and its constant."""

    MORE = "more"  # operand + constant
    FEWER = "fewer"  # operand - constant
    TIMES = "times"  # operand * constant
    SUM = "sum"  # operand + operand
    LARGER = "larger"  # max of the operands
    SMALLER = "smaller"  # min of the operands
    REMAINDER = "remainder"  # operand mod constant
    TRAP_MORE = "trap_more"  # "operand got c more than X": X = operand - c
    TRAP_FEWER = "trap_fewer"  # "operand got c fewer than X": X = operand + c


TRAPS = frozenset({Kind.TRAP_MORE, Kind.TRAP_FEWER})
TWO_OPERANDS = frozenset({Kind.SUM, Kind.LARGER, Kind.SMALLER})

SYMBOLS = {
    Kind.MORE: "+",
    Kind.FEWER: "-",
    Kind.TIMES: "*",
    Kind.SUM: "+",
    Kind.LARGER: "larger",
    Kind.SMALLER: "smaller",
    Kind.REMAINDER: "%",
    Kind.TRAP_MORE: "-",
    Kind.TRAP_FEWER: "+",
}
"""Kind -> the operation that a right step carries out."""

_WEIGHTS = {
    Kind.MORE: 5,
    Kind.FEWER: 5,
    Kind.TIMES: 3,
    Kind.SUM: 4,
    Kind.LARGER: 3,
    Kind.SMALLER: 2,
    Kind.REMAINDER: 2,
}


def compute(symbol: str, left: int, right: int) -> int:
    """Value of `left symbol right`; `symbol` is one of the values of `SYMBOLS`.

    Raises:
        ValueError: if the symbol is unknown.
        ZeroDivisionError: for a remainder by zero.
    """
    match symbol:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case "%":
            return left % right
        case "larger":
            return max(left, right)
        case "smaller":
            return min(left, right)
        case _:
            raise ValueError(
                f"unknown operation {symbol!r}; known: {sorted(set(SYMBOLS.values()))}"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Quantity:
    """One named quantity as the problem states it."""

    name: str
    kind: Kind | None
    """None for a given quantity."""
    operands: tuple[str, ...] = ()
    """Names of earlier quantities: none, one or two."""
    constant: int | None = None
    """The given value, or the number that the operation uses beside its operand."""


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """A problem without its wording."""

    item: str
    quantities: tuple[Quantity, ...]
    asked: str

    def find(self, name: str) -> Quantity | None:
        """The quantity of that name, or None."""
        return next((q for q in self.quantities if q.name == name), None)

    @property
    def operations(self) -> tuple[Quantity, ...]:
        """The quantities that have to be worked out, in the order stated."""
        return tuple(q for q in self.quantities if q.kind is not None)

    def values(self) -> dict[str, int]:
        """The true value of each quantity."""
        known: dict[str, int] = {}
        for quantity in self.quantities:
            known[quantity.name] = evaluate(quantity, known)
        return known

    @property
    def answer(self) -> int:
        """The true value of the asked quantity."""
        return self.values()[self.asked]


def evaluate(quantity: Quantity, known: dict[str, int], symbol: str | None = None) -> int:
    """Value of a quantity when its operands have the values in `known`.

    Args:
        symbol: carry out this operation instead of the right one (used to write flawed steps).

    Raises:
        KeyError: if an operand is not known.
    """
    if quantity.kind is None:
        assert quantity.constant is not None
        return quantity.constant
    numbers = [known[name] for name in quantity.operands]
    if quantity.constant is not None:
        numbers.append(quantity.constant)
    return compute(symbol or SYMBOLS[quantity.kind], numbers[0], numbers[1])


def draw_world(rng: random.Random, level: int, *, trap_probability: float = 0.7) -> World:
    """Draw a world of the given level.

    Args:
        rng: the only source of randomness.
        level: 1 to 5.
        trap_probability: chance in [0, 1] of a trap wording; one chance in levels 1 and 2,
            two above.

    Raises:
        ValueError: if the level is unknown.
    """
    if level not in NUM_OPERATIONS:
        raise ValueError(f"unknown level {level}; levels are {LEVELS}")
    num_operations = rng.randint(*NUM_OPERATIONS[level])
    num_given = 2 if level <= 2 else 3
    num_traps = sum(rng.random() < trap_probability for _ in range(1 if level <= 2 else 2))
    names = rng.sample(NAMES, num_operations + num_given)
    quantities = [
        Quantity(name=name, kind=None, constant=rng.randint(3, 40)) for name in names[:num_given]
    ]
    known = {q.name: evaluate(q, {}) for q in quantities}
    traps = rng.sample(range(num_operations), num_traps)
    for position, name in enumerate(names[num_given:]):
        quantity = _draw_operation(rng, name, known, trap=position in traps)
        known[name] = evaluate(quantity, known)
        quantities.append(quantity)
    # The last quantity usually has the longest chain behind it; asking for an earlier one
    # now and then leaves steps that the answer does not depend on.
    asked = names[-1] if rng.random() < 0.8 else rng.choice(names[num_given:][-3:])
    return World(item=rng.choice(ITEMS), quantities=tuple(quantities), asked=asked)


def _draw_operation(
    rng: random.Random, name: str, known: dict[str, int], *, trap: bool
) -> Quantity:
    candidates = list(known)
    kinds, weights = list(_WEIGHTS), list(_WEIGHTS.values())
    while True:
        kind = (
            rng.choice([Kind.TRAP_MORE, Kind.TRAP_FEWER])
            if trap
            else rng.choices(kinds, weights)[0]
        )
        operands = _draw_operands(rng, candidates, 2 if kind in TWO_OPERANDS else 1)
        if kind in TWO_OPERANDS:
            constant = None
        elif kind is Kind.TIMES:
            constant = rng.randint(2, 3)
        elif kind is Kind.REMAINDER:
            constant = rng.randint(3, 9)
        else:
            constant = rng.randint(2, 12)
        quantity = Quantity(name=name, kind=kind, operands=operands, constant=constant)
        value = evaluate(quantity, known)
        readable_both_ways = not trap or all(
            0 <= evaluate(quantity, known, symbol) <= MAX_VALUE for symbol in "+-"
        )
        if 0 <= value <= MAX_VALUE and readable_both_ways:
            return quantity


def _draw_operands(rng: random.Random, candidates: Sequence[str], count: int) -> tuple[str, ...]:
    """Draw distinct names; the newest is likelier, so that chains grow long."""
    first = candidates[-1] if rng.random() < 0.6 else rng.choice(candidates)
    if count == 1:
        return (first,)
    second = rng.choice([name for name in candidates if name != first])
    return (first, second) if rng.random() < 0.5 else (second, first)
