"""Who can tell the first wrong step of a solution, by the name that the data gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prm_search.errors import ConfigurationError
from prm_search.sandbox.oracle import first_error

ORACLES: dict[str, Callable[[str, Sequence[str]], int | None]] = {"sandbox": first_error}
"""(prompt, steps) -> 0-based index of the first wrong step, None if there is none."""


def first_error_oracle(name: object) -> Callable[[str, Sequence[str]], int | None] | None:
    """The oracle of this name; None if the data names none.

    Raises:
        ConfigurationError: if it is not known.
    """
    if name is None:
        return None
    if name not in ORACLES:
        raise ConfigurationError(
            f"the oracle {name!r} is not known; there is: {', '.join(sorted(ORACLES))}"
        )
    return ORACLES[str(name)]
