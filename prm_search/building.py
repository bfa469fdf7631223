"""From a composed configuration to the parts of a job, and to what is recorded of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from importlib.util import find_spec
from typing import Any, cast

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from prm_search.composition import is_out_of_place, options, typed_nodes
from prm_search.config import PARTIAL, TARGET, field_docs
from prm_search.engines import EngineFactory
from prm_search.errors import ConfigurationError, PrmSearchError


def refuse_unknown(config: DictConfig, job: type[Any]) -> None:
    """Refuse settings that no field of a job's dataclass stands for.

    Raises:
        ConfigurationError: naming them.
    """
    unknown = sorted({str(key) for key in config} - {item.name for item in fields(job)})
    if unknown != [TARGET]:
        raise ConfigurationError(f"there is no such setting: {', '.join(unknown[1:])}")


def plain_config(config: DictConfig) -> dict[str, object]:
    """The resolved configuration as plain values, for the run directory.

    References to whole parts stay references, so nothing stands there twice.
    """
    return {str(key): _plain(config, str(key)) for key in config}


def _plain(config: DictConfig, key: str) -> object:
    raw = cast("dict[str, object]", OmegaConf.to_container(config, enum_to_str=True))[key]
    if OmegaConf.is_missing(config, key):
        return raw
    value = config[key]
    if not isinstance(value, DictConfig):
        return str(value) if OmegaConf.is_interpolation(config, key) else raw
    if isinstance(raw, str):
        return raw
    return {
        str(item): _plain(value, str(item))
        for item in value
        if OmegaConf.is_missing(value, item) or not is_out_of_place(value[item])
    }


def build_part(config: DictConfig, name: str) -> object:
    """Make what a part of a configuration describes.

    Raises:
        ConfigurationError: if it is impossible.
    """
    try:
        if not isinstance(config[name], (DictConfig, ListConfig)):
            return config[name]
        return instantiate(config[name], _convert_="all")
    except InstantiationException as error:
        cause: BaseException = error
        while cause.__cause__ is not None and not isinstance(cause, PrmSearchError):
            cause = cause.__cause__
        place = str(error).partition("full_key: ")[2] or name
        message = str(cause if isinstance(cause, PrmSearchError) else error).splitlines()[0]
        raise ConfigurationError(f"{place}: {message}") from error
    except OmegaConfBaseException as error:
        raise ConfigurationError(" ".join(str(error).split())) from error


def engine_factory(config: DictConfig, name: str) -> EngineFactory:
    """What makes the engine that a part of a configuration describes.

    Raises:
        ConfigurationError: if that is no class of an engine.
    """
    target = str(config.get(TARGET))
    if not config.get(PARTIAL) or find_spec(target.rpartition(".")[0]) is None:
        raise ConfigurationError(
            f"engine.{name}: {target!r} is no class of an engine; give its dotted name as "
            f"{TARGET}, and {PARTIAL}: true"
        )
    arguments = {
        str(key): build_part(config, str(key)) for key in config if key not in (TARGET, PARTIAL)
    }
    return EngineFactory(target=target, arguments=arguments)


def require_complete(config: DictConfig, *parts: str) -> None:
    """Refuse values that must be given, in some parts and what these refer to.

    Raises:
        ConfigurationError: naming them.
    """
    missing: dict[str, None] = {}
    for part in parts:
        parent, _, key = part.rpartition(".")
        node = OmegaConf.select(config, parent) if parent else config
        missing |= dict.fromkeys(_missing(node, key, f"{parent}." if parent else ""))
    if missing:
        docs = _docs(config)
        groups = options()
        lines = [
            f"{name} is not set: {docs.get(name, '')} Give {name}="
            + (" or ".join(groups[name]) if name in groups else "…")
            for name in missing
        ]
        raise ConfigurationError("\n  ".join(lines))


def _missing(config: DictConfig, key: str, prefix: str = "") -> Iterator[str]:
    if OmegaConf.is_missing(config, key):
        yield f"{prefix}{key}"
        return
    value, name = config[key], f"{prefix}{key}"
    if OmegaConf.is_interpolation(config, key):
        raw = cast("dict[str, str]", OmegaConf.to_container(config))[key]
        name = raw.removeprefix("${").removesuffix("}")
    if isinstance(value, DictConfig):
        for item in value:
            yield from _missing(value, str(item), f"{name}.")


def _docs(config: DictConfig) -> Mapping[str, str]:
    """The docstrings of all settings, by dotted name."""
    return {
        f"{prefix}.{name}" if prefix else name: text
        for prefix, cls, _ in typed_nodes(config)
        for name, text in field_docs(cls).items()
    }
