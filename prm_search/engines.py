"""Engines, what makes them and where they run, as far as jobs know them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, cast

from hydra.utils import get_object

from prm_search.budget import Role
from prm_search.errors import EngineError


class Engine(Protocol):
    """A generator, scorer or judge that is cheap to make and has to be started."""

    async def start(self) -> None:
        """Load the model."""
        ...

    async def reset_cache(self) -> None:
        """Forget what was computed, so that what follows costs what it costs alone.

        Raises:
            EngineError: if requests are in progress.
        """
        ...

    async def close(self) -> None:
        """Give everything back."""
        ...


class Cluster(Protocol):
    """Where engines run."""

    async def launch(self, factory: Callable[[], Engine], role: Role) -> Engine:
        """Make and start an engine with the resources of its role."""
        ...

    async def close(self) -> None:
        """Stop all engines."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineFactory:
    """Makes an engine, and imports what it needs only then, in the process where it runs."""

    target: str
    """Dotted name of the class, or of a function that chooses one."""
    arguments: Mapping[str, object]

    def __call__(self) -> Engine:
        """Make the engine.

        Raises:
            EngineError: if what it needs is not installed.
        """
        try:
            return cast("Engine", get_object(self.target)(**self.arguments))
        except ImportError as error:
            raise EngineError(f"{self.target} cannot be imported: {error}") from error


@dataclass(frozen=True, kw_only=True, slots=True)
class Engines:
    """How the engine of each role is made."""

    generator: Callable[[], Engine]
    """Makes a policy engine."""
    scorer: Callable[[], Engine] | None = None
    """Makes a PRM engine. Left out if no search needs one."""
    completer: Callable[[], Engine] | None = None
    """Makes an engine of a policy that completes prefixes to label them. Left out if the policy
    itself does, or nothing needs it."""
    judge: Callable[[], Engine] | None = None
    """Makes a judge engine. Left out if no annotator needs one."""
    teacher: Callable[[], Engine] | None = None
    """Makes an engine of the model whose analyses an R-PRM learns from. Left out if nothing needs
    it."""
