"""What a search checks before it begins."""

from __future__ import annotations

import math

from prm_search.errors import ConfigurationError
from prm_search.protocols import Scorer


def require_scorer(scorer: Scorer | None, algorithm: str) -> Scorer:
    """The scorer, where an algorithm cannot do without.

    Raises:
        ConfigurationError: if there is none.
    """
    if scorer is None:
        raise ConfigurationError(
            f"{algorithm} needs a PRM to score steps and got none; configure one (prm=…), or "
            "use BestOfN with selection=majority, which needs none"
        )
    return scorer


def require_positive(algorithm: str, **counts: int | None) -> None:
    """Check counts that may be None.

    Raises:
        ConfigurationError: if a count is below 1.
    """
    for name, count in counts.items():
        if count is not None and count < 1:
            raise ConfigurationError(f"{algorithm}: {name} must be at least 1, not {count}")


def require_divisible(algorithm: str, *, num_beams: int, num_expansions: int) -> None:
    """Check that a whole number of prefixes is kept.

    Raises:
        ConfigurationError: if not.
    """
    if num_beams % num_expansions:
        raise ConfigurationError(
            f"{algorithm}: num_beams ({num_beams}) must be a multiple of num_expansions "
            f"({num_expansions})"
        )


def require_at_most(algorithm: str, **counts: int) -> None:
    """Check that the first count is not above the second.

    Raises:
        ConfigurationError: if it is.
    """
    (name, count), (limit_name, limit) = counts.items()
    if count > limit:
        raise ConfigurationError(
            f"{algorithm}: {name} ({count}) must be at most {limit_name} ({limit})"
        )


def require_number(
    algorithm: str,
    *,
    low: float,
    high: float = math.inf,
    excludes: tuple[float, ...] = (),
    **values: float,
) -> None:
    """Check numbers against their limits.

    Args:
        algorithm: whose settings they are.
        low: the least that is possible.
        high: the most that is possible.
        excludes: limits that are themselves impossible.
        values: what to check, by the name of the setting.

    Raises:
        ConfigurationError: if one is beyond the limits, or not a finite number.
    """
    for name, value in values.items():
        if not low <= value <= high or not math.isfinite(value) or value in excludes:
            least = f"above {low:g}" if low in excludes else f"at least {low:g}"
            most = f"below {high:g}" if high in excludes else f"at most {high:g}"
            limits = f"{least} and {most}" if math.isfinite(high) else least
            raise ConfigurationError(f"{algorithm}: {name} must be {limits}, not {value}")
