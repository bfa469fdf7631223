"""The help of a command, derived from the configuration that is in effect."""

from __future__ import annotations

import inspect
import json
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import cast, get_type_hints

from omegaconf import DictConfig, OmegaConf

from prm_search.composition import compose, groups_of, options, typed_nodes
from prm_search.config import field_docs, type_name

_OPTIONS = """\
  -h, --help          show this, for the groups and settings given
  --cfg job           show the composed configuration and end (--resolve fills in references)
  -m, --multirun      run every combination of comma-separated values, such as seed=0,1,2
  --config-dir DIR    a folder with groups and options of your own
  -X, --debug         show where an error comes from"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Description:
    """What the help says about a command beside its settings."""

    command: str
    summary: str
    """One line."""
    text: str
    """A paragraph or two."""
    examples: tuple[tuple[str, str], ...]
    """What it does, and the command line."""


def help_text(
    description: Description,
    overrides: Sequence[str] = (),
    *,
    config_dir: Path | None = None,
    width: int = 100,
) -> str:
    """The help of a command, with every group and every setting in effect."""
    config = compose(description.command, overrides, config_dir=config_dir)
    parts = [
        f"prm-search {description.command}: {description.summary}",
        textwrap.fill(description.text, width),
        f"Usage: prm-search {description.command} [options] [group=option …] [setting=value …]",
        "Examples:",
        "\n".join(f"  # {what}\n  {line}" for what, line in description.examples),
        "Groups (group=option chooses one; its settings follow):",
        "\n".join(_groups(description.command, config_dir, width)),
        "Settings in effect (with other options of a group in effect there may be others):",
        "\n".join(_settings(config, width)),
        "Options:",
        _OPTIONS,
    ]
    return "\n\n".join(parts).replace(":\n\n", ":\n")


def _groups(command: str, config_dir: Path | None, width: int) -> Iterator[str]:
    found = options(config_dir)
    for group in groups_of(command):
        names = found[group]
        yield textwrap.fill(
            ", ".join(names), width, initial_indent=f"  {group:<12}", subsequent_indent=" " * 14
        )


def _settings(config: DictConfig, width: int) -> Iterator[str]:
    for prefix, cls, node in typed_nodes(config):
        docs, hints = field_docs(cls), get_type_hints(cls)
        items = [item for item in fields(cls) if item.init and not _is_part(node, item.name)]
        if prefix:
            about = (inspect.getdoc(cls) or "").partition("\n\n")[0]
            yield textwrap.fill(
                f"{prefix} ({cls.__name__}): {' '.join(about.split())}",
                width,
                initial_indent="  ",
                subsequent_indent="      ",
            )
        for item in items:
            name = f"{prefix}.{item.name}" if prefix else item.name
            yield f"    {name}: {type_name(hints[item.name])} = {_value(node, item.name)}"
            if docs.get(item.name):
                yield textwrap.indent(textwrap.fill(docs[item.name], width - 8), " " * 8)


def _is_part(node: DictConfig, name: str) -> bool:
    """Whether a field holds a part with settings of its own, which are shown by themselves."""
    if OmegaConf.is_missing(node, name) or OmegaConf.is_interpolation(node, name):
        return False
    return isinstance(node[name], DictConfig)


def _value(node: DictConfig, name: str) -> str:
    if OmegaConf.is_missing(node, name):
        return "??? (must be given)"
    values = cast("dict[str, object]", OmegaConf.to_container(node, enum_to_str=True))
    value = values[name]
    return value if isinstance(value, str) and value.isprintable() else json.dumps(value)
