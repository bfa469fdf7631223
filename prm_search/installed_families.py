"""Families of PRMs that other installed packages bring, found by their entry points.

    [project.entry-points."prm_search.prm_families"]
    my_family = "my_package.my_family:MyFamily"

makes `prm=my_family` and `family=my_family` options like those in the configuration tree. The
package is imported when the option is chosen, and not before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import cast

from prm_search.config import TARGET
from prm_search.errors import ConfigurationError
from prm_search.prms.generative_prm import GenerativePrm
from prm_search.prms.prm import Prm

ENTRY_POINTS = "prm_search.prm_families"
"""The group of entry points that families are in."""


def installed_options() -> dict[str, list[str]]:
    """The groups of the configuration that families join, and the options that they add."""
    names = sorted({entry.name for entry in entry_points(group=ENTRY_POINTS)})
    return dict.fromkeys(_OPTIONS, names) if names else {}


def installed_option(group: str, name: str) -> Mapping[str, object]:
    """What an option says.

    Raises:
        ConfigurationError: naming the package that the family is from, if it cannot be loaded or
            does not fit the group.
    """
    entries = [entry for entry in entry_points(group=ENTRY_POINTS) if entry.name == name]
    if len(entries) > 1:
        packages = " and ".join(sorted(map(_package, entries)))
        raise ConfigurationError(f"{group}={name}: {packages} each bring a family of this name")
    entry = entries[0]
    try:
        family: object = entry.load()
    except Exception as error:  # whatever the package does when it is imported
        raise ConfigurationError(
            f"{group}={name}: {_package(entry)} cannot load {entry.value}: "
            f"{type(error).__name__}: {error}"
        ) from error
    if not isinstance(family, type):
        raise ConfigurationError(f"{group}={name}: {entry.value} of {_package(entry)} is no class")
    return _OPTIONS[group](name, cast("type[object]", family))


def _prm(_: str, family: type[object]) -> Mapping[str, object]:
    kind = GenerativePrm if hasattr(family, "message") else Prm
    return {TARGET: _path(kind), "family": {TARGET: _path(family)}}


def _family(name: str, family: type[object]) -> Mapping[str, object]:
    if not hasattr(family, "step"):
        raise ConfigurationError(
            f"family={name}: {_path(family)} scores no steps of its own, so none can be learned"
        )
    return {TARGET: _path(family)}


_OPTIONS: dict[str, Callable[[str, type[object]], Mapping[str, object]]] = {
    "prm": _prm,
    "family": _family,
}


def _path(cls: type[object]) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else entry.module
