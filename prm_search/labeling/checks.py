"""What an annotator checks before it begins."""

from __future__ import annotations

from collections.abc import Sequence

from prm_search.errors import ConfigurationError
from prm_search.protocols import Generator, Judge


def require_completer(completer: Generator | None, annotator: str) -> Generator:
    """The completer, where an annotator cannot do without.

    Raises:
        ConfigurationError: if there is none.
    """
    if completer is None:
        raise ConfigurationError(
            f"{annotator} needs a policy that completes prefixes and got none; configure one "
            "(policy=…)"
        )
    return completer


def require_judge(judge: Judge | None, annotator: str) -> Judge:
    """The judge, where an annotator cannot do without.

    Raises:
        ConfigurationError: if there is none.
    """
    if judge is None:
        raise ConfigurationError(f"{annotator} needs a judge and got none; configure one (judge=…)")
    return judge


def require_waves(annotator: str, waves: Sequence[int]) -> None:
    """Check the sizes of waves of rollouts.

    Raises:
        ConfigurationError: if there are none, or one is below 1.
    """
    if not waves or min(waves) < 1:
        raise ConfigurationError(
            f"{annotator}: waves must be sizes of at least 1, such as [1, 1, 2, 4], "
            f"not {list(waves)}"
        )
