"""Composes configurations with Hydra, checked against the dataclasses that they name.

A mapping in a YAML file that names a dataclass by `_target_` gets that dataclass's fields,
types and defaults. So the file lists only what differs from the defaults, and a misspelt or
ill-typed override fails before anything starts.
"""

from __future__ import annotations

import pydoc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from importlib import resources
from pathlib import Path
from typing import Any, cast

import hydra
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import MISSING, DictConfig, ListConfig, OmegaConf, open_dict
from omegaconf.errors import InterpolationKeyError, OmegaConfBaseException

from prm_search import resolvers
from prm_search.config import PARTIAL, TARGET, schema_of
from prm_search.errors import ConfigurationError
from prm_search.installed_families import installed_option, installed_options

_SCHEME = "typed"
_INSTALLED = "installed"
_NO_FIELDS = ("defaults", "hydra")
"""Keys that a mapping in a YAML file may have beside the fields of its dataclass."""


class TypedConfigSource(FileConfigSource):
    """A folder of YAML files whose mappings get the schemas of the classes that they name."""

    @staticmethod
    def scheme() -> str:
        """How its paths begin in Hydra's search path."""
        return _SCHEME

    def load_config(self, config_path: str) -> ConfigResult:
        """Read a file and give it its schemas.

        Raises:
            ConfigurationError: if a value in the file does not fit its schema.
        """
        result = super().load_config(config_path)
        try:
            result.config = OmegaConf.create(_typed(OmegaConf.to_container(result.config)))
        except OmegaConfBaseException as error:
            path = Path(self.path) / f"{config_path.removesuffix('.yaml')}.yaml"
            raise ConfigurationError(f"{path}: {' '.join(str(error).split())}") from error
        return result


class InstalledConfigSource(ConfigSource):
    """Options that installed packages bring."""

    def __init__(self, provider: str, path: str) -> None:
        super().__init__(provider, path)
        self._options = installed_options()

    @staticmethod
    def scheme() -> str:
        """How its path begins in Hydra's search path."""
        return _INSTALLED

    def load_config(self, config_path: str) -> ConfigResult:
        """Make an option.

        Raises:
            ConfigurationError: if what it stands for cannot be used, or has a shipped name.
        """
        group, _, name = config_path.removesuffix(".yaml").rpartition("/")
        if (_shipped() / group / f"{name}.yaml").exists():
            raise ConfigurationError(
                f"{group}={name} comes with prm-search; the installed package that brings a "
                "family of the same name must call it otherwise"
            )
        config = OmegaConf.create(_typed(dict(installed_option(group, name))))
        return ConfigResult(
            provider=self.provider, path=self.full_path(), config=config, header={"package": None}
        )

    def is_group(self, config_path: str) -> bool:
        """Whether there are options of this group."""
        return config_path.rstrip("/") in self._options

    def is_config(self, config_path: str) -> bool:
        """Whether there is this option."""
        group, _, name = config_path.removesuffix(".yaml").rpartition("/")
        return name in self._options.get(group, ())

    def available(self) -> bool:
        """Always."""
        return True

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """The groups, or the options of one."""
        if results_filter is ObjectType.GROUP:
            return [] if config_path else sorted(self._options)
        return list(self._options.get(config_path.rstrip("/"), ()))


class ShippedConfiguration(SearchPathPlugin):
    """Lets Hydra find the configuration that comes with this project, or with others."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Put it first."""
        search_path.prepend("prm-search", f"{_SCHEME}://{_shipped()}")
        search_path.prepend("installed packages", f"{_INSTALLED}://")


def prepare(config_dir: Path | None = None) -> list[str]:
    """Teach Hydra where the configuration is and how it is checked.

    Args:
        config_dir: a folder with further groups and options.

    Returns:
        Overrides that have to be given to Hydra along with all others.

    Raises:
        ConfigurationError: if the folder does not exist.
    """
    Plugins.instance().register(TypedConfigSource)
    Plugins.instance().register(InstalledConfigSource)
    Plugins.instance().register(ShippedConfiguration)
    resolvers.register()
    if config_dir is None:
        return []
    if not config_dir.is_dir():
        raise ConfigurationError(f"--config-dir: there is no folder {config_dir}")
    return [f"hydra.searchpath=['{_SCHEME}://{config_dir.resolve()}']"]


def compose(
    command: str, overrides: Sequence[str] = (), *, config_dir: Path | None = None
) -> DictConfig:
    """The configuration that a command gets.

    Example:
        >>> compose("search", ["search=beam", "search.num_beams=8"]).search.num_beams
        8
    """
    further = prepare(config_dir)
    with hydra.initialize(config_path=None, version_base="1.3"):
        return hydra.compose(command, [*further, *overrides])


def expand_home(config: DictConfig | ListConfig) -> None:
    """Put the home folder in the place of ~ wherever a value begins with ~/.

    What loads models by name takes ~ for a name on the Hub.
    """
    keys: Iterable[Any] = range(len(config)) if isinstance(config, ListConfig) else list(config)
    for key in keys:
        if OmegaConf.is_missing(config, key) or OmegaConf.is_interpolation(config, key):
            continue
        value = config[key]
        if isinstance(value, (DictConfig, ListConfig)):
            expand_home(value)
        elif isinstance(value, str) and value.startswith("~/"):
            config[key] = str(Path(value).expanduser())


def options(config_dir: Path | None = None) -> dict[str, list[str]]:
    """The groups of the configuration, and the options of each."""
    found: dict[str, set[str]] = {}
    for folder in (_shipped(), *([config_dir] if config_dir else [])):
        for path in folder.glob("*/*.yaml"):
            found.setdefault(path.parent.name, set()).add(path.stem)
    for group, names in installed_options().items():
        found.setdefault(group, set()).update(names)
    return {group: sorted(names) for group, names in sorted(found.items())}


def groups_of(command: str) -> list[str]:
    """The groups that a command chooses options of."""
    config = OmegaConf.to_container(OmegaConf.load(_shipped() / f"{command}.yaml"))
    entries = cast("Mapping[str, list[str | dict[str, object]]]", config)["defaults"]
    keys = [key for entry in entries if isinstance(entry, dict) for key in entry]
    groups = [key.partition("@")[0] for key in keys if not key.startswith("override ")]
    return sorted(set(groups))


def typed_nodes(config: DictConfig, prefix: str = "") -> Iterator[tuple[str, type, DictConfig]]:
    """The parts of a configuration that have a schema: dotted name, dataclass, values."""
    values = cast("Mapping[str, object]", OmegaConf.to_container(config))
    cls = _dataclass(values)
    if cls is not None:
        yield prefix, cls, config
    for key, value in values.items():
        if isinstance(value, dict) and not is_out_of_place(config[key]):
            yield from typed_nodes(config[key], f"{prefix}.{key}" if prefix else key)


def is_out_of_place(part: object) -> bool:
    """Whether a part refers to something that the command has nothing to do with.

    An engine has a way to run every kind of model; a search, for example, knows no judge.
    """
    if not isinstance(part, DictConfig):
        return False
    for key in map(str, part):
        if OmegaConf.is_interpolation(part, key):
            try:
                part[key]
            except InterpolationKeyError:
                return True
            except OmegaConfBaseException:
                continue
    return False


def _shipped() -> Path:
    return Path(str(resources.files("conf")))


def _typed(values: Any) -> Any:
    """The same values, each mapping with a `_target_` backed by the schema of its class."""
    if isinstance(values, list):
        return [_typed(value) for value in cast("list[object]", values)]
    if not isinstance(values, dict):
        return values
    typed = {key: _typed(value) for key, value in cast("dict[str, object]", values).items()}
    cls = _dataclass(typed)
    if cls is None:
        return typed
    own = {key: value for key, value in typed.items() if key not in _NO_FIELDS}
    schema = OmegaConf.structured(schema_of(cls))
    for key, value in own.items():
        if isinstance(value, DictConfig) and key in schema:
            schema[key] = MISSING  # whatever class it is of, it stands in for the default
    node = OmegaConf.merge(schema, own)
    with open_dict(cast("DictConfig", node)):
        node.update({key: value for key, value in typed.items() if key in _NO_FIELDS})
    return node


def _dataclass(values: Mapping[str, object]) -> type | None:
    """The dataclass that a mapping names; None if it names none, or one not installed.

    Engines are marked by `_partial_`. They are not looked at here: importing one can take many
    seconds, and is left to the process that runs it.
    """
    target = values.get(TARGET)
    if not isinstance(target, str) or values.get(PARTIAL):
        return None
    try:
        found = pydoc.locate(target)
    except pydoc.ErrorDuringImport:
        return None
    return found if isinstance(found, type) and is_dataclass(found) else None
