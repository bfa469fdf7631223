"""The sandbox world: who has how many, and how each number follows from others.

A `World` is a list of quantities in the order in which the problem states them. A quantity
is either given or follows from the one or two before it by one operation, so its value is
always known. A chain that begins anew leaves what came before without influence on the answer.

    given  Ann 12
    more   Ben = Ann + 7
    larger Cat = max(Ben, Ann)        absorbs errors in Ann
    given  Dan 30                     from here on, nothing depends on Cat
    fewer  Eva = Dan - 4
    asked  Eva
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

    GIVEN = "given"  # the constant
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
_BEGIN_ANEW = 0.12
"""Chance before each operation but the first and the last that a new chain begins."""


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
    kind: Kind
    operands: tuple[str, ...] = ()
    """Names of the quantities just before: none, the last, or the last and the one before it."""
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
        return tuple(q for q in self.quantities if q.kind is not Kind.GIVEN)

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
    if quantity.kind is Kind.GIVEN:
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
    num_traps = sum(rng.random() < trap_probability for _ in range(1 if level <= 2 else 2))
    traps = rng.sample(range(num_operations), num_traps)
    names = iter(rng.sample(NAMES, len(NAMES)))
    quantities: list[Quantity] = []
    known: dict[str, int] = {}
    for position in range(num_operations):
        begins_anew = 0 < position < num_operations - 1 and rng.random() < _BEGIN_ANEW
        if not quantities or begins_anew:
            quantities.append(
                Quantity(name=next(names), kind=Kind.GIVEN, constant=rng.randint(3, 40))
            )
            known[quantities[-1].name] = evaluate(quantities[-1], known)
        quantities.append(
            _draw_operation(rng, next(names), quantities, known, trap=position in traps)
        )
        known[quantities[-1].name] = evaluate(quantities[-1], known)
    return World(item=rng.choice(ITEMS), quantities=tuple(quantities), asked=quantities[-1].name)


def _draw_operation(
    rng: random.Random,
    name: str,
    quantities: Sequence[Quantity],
    known: dict[str, int],
    *,
    trap: bool,
) -> Quantity:
    last = quantities[-1]
    # A trap must be readable both ways, so nothing can be a trap after a value at the edge.
    trap = trap and 12 <= known[last.name] <= MAX_VALUE - 12
    kinds = [kind for kind in _WEIGHTS if last.operands or kind not in TWO_OPERANDS]
    while True:
        kind = rng.choice(sorted(TRAPS)) if trap else _choose(rng, kinds)
        if kind in TWO_OPERANDS:
            operands, constant = (last.name, last.operands[0]), None
        else:
            operands, constant = (last.name,), _draw_constant(rng, kind)
        quantity = Quantity(name=name, kind=kind, operands=operands, constant=constant)
        if 0 <= evaluate(quantity, known) <= MAX_VALUE:
            return quantity


def _choose(rng: random.Random, kinds: Sequence[Kind]) -> Kind:
    return rng.choices(kinds, [_WEIGHTS[kind] for kind in kinds])[0]


def _draw_constant(rng: random.Random, kind: Kind) -> int:
    match kind:
        case Kind.TIMES:
            return rng.randint(2, 3)
        case Kind.REMAINDER:
            return rng.randint(3, 9)
        case _:
            return rng.randint(2, 12)
