"""What a search job consists of, and how it is built from a composed configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from importlib.util import find_spec
from typing import Any, Protocol, cast

from hydra.errors import InstantiationException
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from prm_search.budget import Budget, Role
from prm_search.composition import options, typed_nodes
from prm_search.config import PARTIAL, TARGET, field_docs
from prm_search.data import ProblemLoader
from prm_search.errors import ConfigurationError, EngineError, PrmSearchError
from prm_search.grading import GraderSettings
from prm_search.protocols import SearchAlgorithm

MAY_DIFFER = ("run_dir", "cluster", "max_in_flight", "max_retries", "grader.num_processes")
"""Settings that a resumed run may change, because no result depends on them."""


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
    """Dotted name of the class."""
    arguments: Mapping[str, object]

    def __call__(self) -> Engine:
        """Make the engine.

        Raises:
            EngineError: if what it needs is not installed.
        """
        try:
            return cast("Engine", get_class(self.target)(**self.arguments))
        except ImportError as error:
            raise EngineError(f"{self.target} cannot be imported: {error}") from error


@dataclass(frozen=True, kw_only=True, slots=True)
class Engines:
    """How the engine of each role is made."""

    generator: Callable[[], Engine]
    """Makes a policy engine."""
    scorer: Callable[[], Engine] | None = None
    """Makes a PRM engine. Left out if no search needs one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchJob:
    """One or several searches over a set of problems."""

    policy: object = None
    """The model that generates, and how it samples. The engine refers to it."""
    prm: object = None
    """The model that scores steps. The engine refers to it, and starts it if a search needs it."""
    engine: Engines
    """What runs the models."""
    cluster: Cluster
    """Where they run: how many replicas, with which resources."""
    data: ProblemLoader
    """The problems."""
    search: SearchAlgorithm | None = None
    """The search to run."""
    methods: Mapping[str, SearchAlgorithm] = field(default_factory=dict[str, SearchAlgorithm])
    """Several searches to run on the same engines one after another, by name, instead of one."""
    budget: Budget = field(default_factory=Budget)
    """Limits for each problem."""
    grader: GraderSettings = field(default_factory=GraderSettings)
    """How answers are found and compared."""
    seed: int = 0
    """Every random choice derives from it."""
    max_in_flight: int = 256
    """Problems searched at the same time, at least 1. More fill the engines better and need more
    memory."""
    max_retries: int = 2
    """How often a problem is tried again after an engine failed on it."""
    run_dir: str
    """Where the run is written. Giving that of an earlier run resumes it."""

    def __post_init__(self) -> None:
        if self.max_in_flight < 1:
            raise ConfigurationError(f"max_in_flight must be at least 1, not {self.max_in_flight}")
        if self.max_retries < 0:
            raise ConfigurationError(f"max_retries must be at least 0, not {self.max_retries}")


def needs_scorer(algorithm: SearchAlgorithm) -> bool:
    """Whether a search needs a PRM; an algorithm says so by `needs_scorer`, else it does."""
    return bool(getattr(algorithm, "needs_scorer", True))


def search_job(config: DictConfig, *, name: str) -> SearchJob:
    """The job that a composed configuration describes.

    Parts that no search needs are left out and may be incomplete.

    Args:
        name: of the search, where there is only one.

    Raises:
        ConfigurationError: if the configuration is incomplete or impossible.
    """
    unknown = sorted({str(key) for key in config} - {item.name for item in fields(SearchJob)})
    if unknown != [TARGET]:
        raise ConfigurationError(f"there is no such setting: {', '.join(unknown[1:])}")
    if config.search is not None and config.methods:
        raise ConfigurationError(
            "search and methods are both given; drop search=…, or run it alone without methods "
            f"({', '.join(config.methods)})"
        )
    config = config.copy()
    _require_complete(config, "search", "methods")
    methods = cast("dict[str, SearchAlgorithm]", _build(config, "methods"))
    if config.search is not None:
        methods = {name: cast("SearchAlgorithm", _build(config, "search"))}
    if not methods:
        raise ConfigurationError("there is nothing to run; give search=… or methods")
    roles = ["generator"]
    if any(needs_scorer(algorithm) for algorithm in methods.values()):
        roles.append("scorer")
    parts = ("cluster", "data", "budget", "grader")
    _require_complete(config, *(f"engine.{role}" for role in roles), *parts, "run_dir")
    built = cast("dict[str, Any]", {part: _build(config, part) for part in parts})
    return SearchJob(
        **built,
        engine=Engines(**{role: _factory(config.engine[role], role) for role in roles}),
        methods=methods,
        seed=config.seed,
        max_in_flight=config.max_in_flight,
        max_retries=config.max_retries,
        run_dir=config.run_dir,
    )


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
    return raw if isinstance(raw, str) else {str(item): _plain(value, str(item)) for item in value}


def _build(config: DictConfig, name: str) -> object:
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


def _factory(config: DictConfig, name: str) -> EngineFactory:
    target = str(config.get(TARGET))
    if not config.get(PARTIAL) or find_spec(target.rpartition(".")[0]) is None:
        raise ConfigurationError(
            f"engine.{name}: {target!r} is no class of an engine; give its dotted name as "
            f"{TARGET}, and {PARTIAL}: true"
        )
    arguments = {
        str(key): _build(config, str(key)) for key in config if key not in (TARGET, PARTIAL)
    }
    return EngineFactory(target=target, arguments=arguments)


def _require_complete(config: DictConfig, *parts: str) -> None:
    """Refuse values that must be given, in some parts and what these refer to."""
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
