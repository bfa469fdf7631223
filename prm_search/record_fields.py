"""What the records of all kinds of runs have in common, as plain values for JSON.

The fields of a record stand in a fixed order and depend on the work alone; everything that
depends on the clock stands in `timing`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import cast

from prm_search.budget import Ledger
from prm_search.errors import ContextLengthError, EngineError
from prm_search.types import Failure, Problem, Usage


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """When a record was made. All in seconds but `session`."""

    session: int
    """How often the run had been resumed."""
    elapsed: float
    """From the start of the method in this session to the end of this problem."""
    wall: float
    """From the start to the end of this problem; problems overlap."""


def is_transient(error: BaseException) -> bool:
    """Whether the same request may succeed when it is tried again."""
    return isinstance(error, EngineError) and not isinstance(error, ContextLengthError)


def head_values(problem: Problem, method: str, seed: int) -> dict[str, object]:
    """What the record is about."""
    return {
        "method": method,
        "problem": problem.id,
        "seed": seed,
        "prompt": problem.prompt,
        "reference": problem.answer,
        "metadata": plain_values(problem.metadata),
    }


def cost_values(ledger: Ledger) -> dict[str, object]:
    """What was spent. Seconds belong to the timing."""
    names = [item.name for item in fields(Usage) if item.name != "seconds"]
    return {
        "num_generations": ledger.num_generations,
        "usage": {
            str(role): {name: getattr(ledger.usages[role], name) for name in names}
            for role in sorted(ledger.usages)
        },
    }


def timing_values(timing: Timing) -> dict[str, object]:
    """When the record was made, in seconds."""
    return {
        "session": timing.session,
        "elapsed": round(timing.elapsed, 4),
        "wall": round(timing.wall, 4),
    }


def seconds_of_roles(ledger: Ledger) -> dict[str, float]:
    """How long the engines of each role worked; their calls overlap."""
    return {str(role): round(ledger.of(role).seconds, 4) for role in sorted(ledger.usages)}


def failure_values(failure: Failure) -> dict[str, object]:
    """A failure."""
    return {"kind": failure.kind, "message": failure.message}


def error_values(error: BaseException) -> dict[str, object]:
    """An error that ended the work on a problem."""
    return {**failure_values(Failure.of(error)), "is_transient": is_transient(error)}


def plain_values(value: object) -> object:
    """Anything as values that JSON has."""
    if isinstance(value, Mapping):
        items = cast("Mapping[object, object]", value).items()
        return {str(key): plain_values(item) for key, item in items}
    if isinstance(value, (list, tuple)):
        return [plain_values(item) for item in cast("Sequence[object]", value)]
    is_json = value is None or isinstance(value, (str, bool, int))
    return value if is_json or (isinstance(value, float) and math.isfinite(value)) else str(value)
