"""What a search checks before it begins."""

from __future__ import annotations

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
