"""What is compared: searches with the same settings, all their seeds together."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from prm_search.budget import Role
from prm_search.comparison.searched import Searched, read_searches
from prm_search.config import TARGET
from prm_search.errors import DataError, StoreError
from prm_search.manifest import CONFIG, load_manifest
from prm_search.model_size import num_parameters
from prm_search.reporting.run import Run, natural, read_run

_DECIDING = ("policy", "prm", "budget", "grader")
"""Parts of a configuration beside the search itself that make searches different ones."""
_INDIFFERENT = ("grader.num_processes", "grader.cache_size", "policy.logprobs")
"""Settings in them that no result depends on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Arm:
    """A method with its settings, and what it made of the problems."""

    name: str
    """Of the method, and the settings that tell it from others of that name."""
    method: str
    settings: Mapping[str, object]
    """By dotted name: those of the search, and of what it worked with."""
    searches: tuple[Searched, ...]
    """Sorted by problem and seed; several seeds of a problem are not independent."""
    parameters: Mapping[Role, int | None]
    """Of the models that it made use of, where known."""
    seconds: float
    """Wall time per problem: of a whole run over the number of its problems, mean over seeds."""
    directories: tuple[Path, ...]
    num_unfinished: int
    """Runs that have not come to their end."""
    num_repeated: int = 0
    """Searches left out: made again beside another PRM, which they do not use."""

    @property
    def draws_independent_samples(self) -> bool:
        """Whether its candidates are samples from the policy that a vote can be made of."""
        temperature = self.settings.get("search.temperature")
        if temperature is None:
            temperature = self.settings.get("policy.temperature")
        return self._is_best_of_n and temperature != 0

    @property
    def _is_best_of_n(self) -> bool:
        return str(self.settings.get(f"search.{TARGET}")).endswith(".BestOfN")

    @property
    def is_majority(self) -> bool:
        """Whether it is a majority vote over independent samples."""
        return (
            self.draws_independent_samples and self.settings.get("search.selection") == "majority"
        )

    @property
    def policy(self) -> str:
        """What samples come from, written so that equal ones are equal texts.

        A single greedy solution is held against the samples that the policy draws otherwise.
        """
        parts = {key: value for key, value in self.settings.items() if key.startswith("policy.")}
        temperature = self.settings.get("search.temperature")
        if temperature and self._is_best_of_n:  # that of REBASE is none of the policy
            parts["policy.temperature"] = temperature
        return json.dumps(parts, sort_keys=True, default=str)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds, rising."""
        return tuple(sorted({each.seed for each in self.searches}))


def run_directories(paths: Sequence[Path]) -> list[Path]:
    """The run directories among some paths, and in them: a sweep holds several.

    Raises:
        StoreError: naming a path that holds none.
    """
    found: dict[Path, None] = {}
    for path in paths:
        inside = (
            [path]
            if (path / CONFIG).is_file()
            else sorted(
                (config.parent for config in path.rglob(CONFIG)),
                key=lambda each: natural(str(each)),
            )
        )
        if not inside:
            raise StoreError(f"{path} holds no run: there is no {CONFIG} in it")
        found |= dict.fromkeys(inside)
    return list(found)


def read_arms(directories: Sequence[Path]) -> tuple[Arm, ...]:
    """All methods of some runs, in the order of the runs.

    Raises:
        StoreError: if a run cannot be read.
        DataError: if the same search of the same problem with the same seed is there twice, or
            the runs are about different problems of the same id.
    """
    pieces: dict[str, list[_Piece]] = {}
    for directory in directories:
        for piece in _pieces(read_run(directory)):
            key = json.dumps([piece.method, piece.settings], sort_keys=True, default=str)
            pieces.setdefault(key, []).append(piece)
    if not pieces:
        raise StoreError(f"no search has ended yet in {', '.join(map(str, directories))}")
    groups = list(pieces.values())
    names = _names([group[0] for group in groups])
    arms = tuple(_arm(name, group) for name, group in zip(names, groups, strict=True))
    _require_same_problems(arms)
    return arms


@dataclass(frozen=True, kw_only=True, slots=True)
class _Piece:
    """A method of one run."""

    method: str
    settings: Mapping[str, object]
    unused: Mapping[str, object]
    """The PRM of the run, if the method did not use it."""
    searches: tuple[Searched, ...]
    parameters: Mapping[Role, int | None]
    seconds: float
    directory: Path
    is_finished: bool


def _pieces(run: Run) -> Iterator[_Piece]:
    recorded = load_manifest(run.directory).get("parameters", {})
    for method in run.methods:
        searches = tuple(read_searches(run, method))
        roles = [Role.POLICY]
        if any(each.result.spent.scored_tokens for each in searches):
            roles.append(Role.PRM)
        problems = {each.problem for each in searches}
        yield _Piece(
            method=method,
            settings=_settings(run.config, method, roles),
            unused={} if Role.PRM in roles else _part(run.config, Role.PRM),
            searches=searches,
            parameters={
                role: cast("Mapping[str, int | None]", recorded).get(role)
                or num_parameters(str(_part(run.config, role).get("model", "")))
                for role in roles
            },
            seconds=run.seconds.get(method, 0.0) / len(problems),
            directory=run.directory,
            is_finished=run.is_finished,
        )


def _settings(config: Mapping[str, Any], method: str, roles: Sequence[Role]) -> dict[str, object]:
    """What decides about the results of a method, by dotted name."""
    parts = {"search": _part(_part(config, "methods"), method) or _part(config, "search")}
    for name in _DECIDING:
        if name != Role.PRM or Role.PRM in roles:
            parts[name] = _part(config, name)
    return {key: value for key, value in _leaves(parts) if key not in _INDIFFERENT}


def _part(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = config.get(name)
    return cast("Mapping[str, Any]", part) if isinstance(part, Mapping) else {}


def _leaves(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from _leaves(cast("Mapping[str, Any]", value), f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _names(pieces: Sequence[_Piece]) -> list[str]:
    """A name for each: its method, and the settings in which methods of that name differ."""
    names: list[str] = []
    for piece in pieces:
        same = [other.settings for other in pieces if other.method == piece.method]
        keys = dict.fromkeys(key for settings in same for key in settings)
        varied = [key for key in keys if len({repr(each.get(key)) for each in same}) > 1]
        words = [f"{_short_key(key)}={_short(piece.settings.get(key))}" for key in varied]
        names.append(" ".join([piece.method, *words]))
    return names


def _short_key(key: str) -> str:
    """A setting of the search by its bare name, one of another part with that of the part."""
    return key.removeprefix("search.").removesuffix(".model")


def _short(value: object) -> str:
    """A path by its last two parts, like owner/name."""
    text = str(value)
    return "/".join(Path(text).parts[-2:]) if text.startswith("/") else text


def _arm(name: str, pieces: Sequence[_Piece]) -> Arm:
    found: dict[tuple[str, int], tuple[Searched, _Piece]] = {}
    num_repeated = 0
    for piece in pieces:
        for each in piece.searches:
            _, source = found.setdefault(each.key, (each, piece))
            if source is piece:
                continue
            if source.unused == piece.unused:
                directories = ", ".join(dict.fromkeys(str(other.directory) for other in pieces))
                raise DataError(
                    f"{name}: problem {each.problem!r} with seed {each.seed} is there twice, in "
                    f"{directories}; leave one of them out, or give them different seeds"
                )
            num_repeated += 1
    searches = [searched for searched, _ in found.values()]
    return Arm(
        name=name,
        method=pieces[0].method,
        settings=pieces[0].settings,
        searches=tuple(sorted(searches, key=lambda s: (natural(s.problem), s.seed))),
        parameters={
            role: next((known for piece in pieces if (known := piece.parameters[role])), None)
            for role in dict.fromkeys(role for piece in pieces for role in piece.parameters)
        },
        seconds=sum(piece.seconds for piece in pieces) / len(pieces),
        directories=tuple(dict.fromkeys(piece.directory for piece in pieces)),
        num_unfinished=sum(not piece.is_finished for piece in pieces),
        num_repeated=num_repeated,
    )


def _require_same_problems(arms: Sequence[Arm]) -> None:
    prompts: dict[str, tuple[str, Arm]] = {}
    for arm in arms:
        for each in arm.searches:
            prompt, first = prompts.setdefault(each.problem, (each.prompt, arm))
            if prompt != each.prompt:
                raise DataError(
                    f"problem {each.problem!r} is not the same in {first.directories[0]} and "
                    f"{arm.directories[0]}; only runs on the same data can be compared"
                )
