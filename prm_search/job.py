"""What a search job consists of, and how it is built from a composed configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

from prm_search.aggregation import Aggregation
from prm_search.budget import Budget
from prm_search.building import (
    build_part,
    engine_factory,
    refuse_unknown,
    require_complete,
)
from prm_search.data import ProblemLoader
from prm_search.engines import Cluster, Engine, EngineFactory, Engines
from prm_search.errors import ConfigurationError
from prm_search.grading import GraderSettings
from prm_search.prms.family import AnswerFamily
from prm_search.prms.prm import Prm
from prm_search.protocols import SearchAlgorithm

MAY_DIFFER = ("run_dir", "cluster", "max_in_flight", "max_retries", "grader.num_processes")
"""Settings that a resumed run may change, because no result depends on them."""


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


def needs_variety(algorithm: SearchAlgorithm) -> bool:
    """Whether a search makes no sense if the policy always writes the same.

    An algorithm that takes a single sample says so by `needs_variety`.
    """
    return bool(getattr(algorithm, "needs_variety", True))


def search_job(config: DictConfig, *, name: str) -> SearchJob:
    """The job that a composed configuration describes.

    Parts that no search needs are left out and may be incomplete.

    Args:
        name: of the search, where there is only one.

    Raises:
        ConfigurationError: if the configuration is incomplete or impossible.
    """
    refuse_unknown(config, SearchJob)
    if config.search is not None and config.methods:
        raise ConfigurationError(
            "search and methods are both given; drop search=…, or run it alone without methods "
            f"({', '.join(config.methods)})"
        )
    config = config.copy()
    require_complete(config, "search", "methods")
    methods = cast("dict[str, SearchAlgorithm]", build_part(config, "methods"))
    if config.search is not None:
        methods = {name: cast("SearchAlgorithm", build_part(config, "search"))}
    if not methods:
        raise ConfigurationError("there is nothing to run; give search=… or methods")
    _require_sense(config, methods)
    roles = ["generator"]
    if any(needs_scorer(algorithm) for algorithm in methods.values()):
        roles.append("scorer")
    parts = ("cluster", "data", "budget", "grader")
    require_complete(config, *(f"engine.{role}" for role in roles), *parts, "run_dir")
    built = cast("dict[str, Any]", {part: build_part(config, part) for part in parts})
    engines = Engines(**{role: engine_factory(config.engine[role], role) for role in roles})
    require_last_scores(engines.scorer, methods)
    return SearchJob(
        **built,
        engine=engines,
        methods=methods,
        seed=config.seed,
        max_in_flight=config.max_in_flight,
        max_retries=config.max_retries,
        run_dir=config.run_dir,
    )


def require_last_scores(
    scorer: Callable[[], Engine] | None, methods: Mapping[str, SearchAlgorithm]
) -> None:
    """Refuse to make other scores than its own of what a reward model says of whole answers.

    Raises:
        ConfigurationError: naming the searches that would.
    """
    prm = scorer.arguments.get("prm") if isinstance(scorer, EngineFactory) else None
    if not isinstance(prm, Prm) or not isinstance(prm.family, AnswerFamily):
        return
    names = [
        name
        for name, algorithm in methods.items()
        if needs_scorer(algorithm)
        and getattr(algorithm, "aggregation", Aggregation.last) is not Aggregation.last
    ]
    if names:
        raise ConfigurationError(
            f"{prm.model} scores whole answers, and what it says of their beginnings must not be "
            f"mixed into that; set aggregation=last for {', '.join(names)}"
        )


def _require_sense(config: DictConfig, methods: Mapping[str, SearchAlgorithm]) -> None:
    """Refuse settings that defeat each other across parts."""
    greedy = [name for name, algorithm in methods.items() if needs_variety(algorithm)]
    if greedy and OmegaConf.select(config, "policy.temperature", throw_on_missing=False) == 0:
        raise ConfigurationError(
            f"{', '.join(greedy)} draws several samples to choose from, and with "
            "policy.temperature=0 all of them are the same; set it above 0, or take search=greedy"
        )
    limit = OmegaConf.select(config, "budget.max_scored_tokens")
    if limit is not None and not any(map(needs_scorer, methods.values())):
        raise ConfigurationError(
            f"budget.max_scored_tokens={limit} limits the tokens of a PRM, and no search here "
            f"has one: {', '.join(methods)}; drop it, or limit budget.max_generated_tokens"
        )
