"""Says what is wrong with a command line, and what was probably meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import cast

from hydra.errors import HydraException, MissingConfigException
from omegaconf import OmegaConf

from prm_search.composition import compose, groups_of, options, typed_nodes
from prm_search.config import field_docs
from prm_search.errors import ConfigurationError, PrmSearchError


def explain(
    error: Exception,
    command: str,
    overrides: Sequence[str],
    config_dir: Path | None = None,
) -> str:
    """One sentence about an error of Hydra's, with the nearest valid name."""
    message = " ".join(str(error).split())
    groups = options(config_dir)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, option = error.missing_cfg_file.rpartition("/")
        valid = groups.get(group.split("@")[0], list(error.options or ()))
        return (
            f"{group}={option}: there is no option {option!r} in the group {group!r}"
            f"{_nearest(option, valid)} Valid: {', '.join(valid)}"
        )
    found = re.search(r"Could not (?:override|delete from config\.) '([^']*)'", message)
    if found:
        name = found.group(1)
        if name in groups and name not in groups_of(command):
            chosen = [item for item in overrides if item.startswith("experiment=")]
            return f"{' '.join(chosen) or name}: prm-search {command} knows no {name}"
        choices = _choices(overrides, groups)
        group = name.partition(".")[0]
        varied = [item for item in choices if item.startswith(f"{group}=") and "," in item]
        if varied and group != name:
            return (
                f"{name}: not all of {varied[0]} have such a setting. Vary the settings of each "
                "in a multirun of its own; all of them can have the same run_dir"
            )
        valid = list(names(command, choices, config_dir))
        return (
            f"{name}: there is no such setting{_nearest(name, [*valid, *groups])} "
            f"See prm-search {command} --help"
        )
    found = re.search(r"Error merging override (.*)", message)
    if found:
        cause = str(error.__cause__).splitlines()[0]
        return f"{found.group(1)}: {cause[:1].lower()}{cause[1:]}{_nearest_member(cause)}"
    return message


def refuse_empty_groups(overrides: Sequence[str], config_dir: Path | None = None) -> None:
    """Refuse group=null, which Hydra does not understand.

    Raises:
        ConfigurationError: saying what to write instead.
    """
    groups = options(config_dir)
    for override in overrides:
        name, _, value = override.lstrip("+").partition("=")
        if value in ("", "null") and name.partition("@")[0] in groups:
            raise ConfigurationError(f"{override}: to leave {name} out, write ~{name}")


def names(
    command: str, overrides: Sequence[str] = (), config_dir: Path | None = None
) -> Iterable[str]:
    """The dotted names of all settings of a command."""
    try:
        config = compose(command, overrides, config_dir=config_dir)
    except (HydraException, PrmSearchError):
        config = compose(command, config_dir=config_dir)
    for prefix, cls, _ in typed_nodes(config):
        for name in field_docs(cls):
            yield f"{prefix}.{name}" if prefix else name
    yield from _leaves(OmegaConf.to_container(config))


def _leaves(values: object, prefix: str = "") -> Iterable[str]:
    if isinstance(values, dict):
        for key, value in cast("dict[str, object]", values).items():
            if not key.startswith("_"):
                yield f"{prefix}{key}"
                yield from _leaves(value, f"{prefix}{key}.")


def _choices(overrides: Sequence[str], groups: Iterable[str]) -> list[str]:
    """The overrides that choose an option of a group, such as search=beam."""
    return [item for item in overrides if item.lstrip("+~").split("=")[0].split("@")[0] in groups]


def _nearest(name: str, valid: Iterable[str]) -> str:
    """How a sentence about a wrong name ends."""
    unique = list(dict.fromkeys(valid))
    found = difflib.get_close_matches(name, unique, n=1, cutoff=0.6)
    if not found:  # the right name in the wrong place
        last = name.rpartition(".")[2]
        ends = {item.rpartition(".")[2]: item for item in reversed(unique)}
        found = [ends[end] for end in difflib.get_close_matches(last, ends, n=1, cutoff=0.7)]
    return f"; did you mean {found[0]!r}?" if found else "."


def _nearest_member(cause: str) -> str:
    found = re.match(r"Invalid value '(.*)', expected one of \[(.*)\]", cause)
    return _nearest(found.group(1), found.group(2).split(", ")) if found else "."
