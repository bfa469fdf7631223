"""Sources of rewards as the configuration describes them, before any engine runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, cast

from prm_search.budget import Role
from prm_search.errors import ConfigurationError
from prm_search.protocols import Grader, Judge, Scorer
from prm_search.rewards.reward import RewardSource
from prm_search.rewards.sources import AnswerSource, Blend, Combination, JudgeSource, PrmSource


class Part(StrEnum):
    """What a reward can consist of."""

    scores = "scores"
    """One for each step."""
    outcome = "outcome"
    """One for the whole rollout."""


class RewardRecipe(Protocol):
    """A frozen dataclass that makes a source once the engines run."""

    @property
    def needs(self) -> frozenset[Role]:
        """The engines that it takes."""
        ...

    @property
    def gives(self) -> frozenset[Part]:
        """What its rewards consist of."""
        ...

    def source(self, engines: Mapping[Role, object], grader: Grader) -> RewardSource:
        """The source, from running engines by role."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class PrmReward:
    """Step scores from the PRM."""

    @property
    def needs(self) -> frozenset[Role]:
        """The PRM."""
        return frozenset({Role.PRM})

    @property
    def gives(self) -> frozenset[Part]:
        """Step scores."""
        return frozenset({Part.scores})

    def source(self, engines: Mapping[Role, object], grader: Grader) -> RewardSource:
        """The source; see `RewardRecipe`."""
        return PrmSource(cast("Scorer", engines[Role.PRM]))


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgeReward:
    """Step scores from a judge: the share of votes that find no error up to the step."""

    num_votes: int = 1
    """Critiques of each rollout, at least 1."""
    seed: int = 0
    """With problem and completion it gives the seed of the critiques."""

    def __post_init__(self) -> None:
        if self.num_votes < 1:
            raise ConfigurationError(f"num_votes must be at least 1, not {self.num_votes}")

    @property
    def needs(self) -> frozenset[Role]:
        """The judge."""
        return frozenset({Role.JUDGE})

    @property
    def gives(self) -> frozenset[Part]:
        """Step scores."""
        return frozenset({Part.scores})

    def source(self, engines: Mapping[Role, object], grader: Grader) -> RewardSource:
        """The source; see `RewardRecipe`."""
        judge = cast("Judge", engines[Role.JUDGE])
        return JudgeSource(judge, num_votes=self.num_votes, seed=self.seed)


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerReward:
    """Outcomes from the reference answer; no engine."""

    @property
    def needs(self) -> frozenset[Role]:
        """Nothing."""
        return frozenset()

    @property
    def gives(self) -> frozenset[Part]:
        """Outcomes."""
        return frozenset({Part.outcome})

    def source(self, engines: Mapping[Role, object], grader: Grader) -> RewardSource:
        """The source; see `RewardRecipe`."""
        return AnswerSource(grader)


@dataclass(frozen=True, kw_only=True, slots=True)
class CombinedReward:
    """Several sources, asked side by side."""

    parts: dict[str, RewardRecipe] = field(default_factory=dict[str, RewardRecipe])
    """The sources, under names of your own; at least one."""
    blend: Blend = Blend.min
    """How the scores of several sources become one, and likewise their outcomes."""

    def __post_init__(self) -> None:
        if not self.parts:
            raise ConfigurationError("reward.parts is empty; name at least one source")

    @property
    def needs(self) -> frozenset[Role]:
        """What the sources need."""
        return frozenset[Role]().union(*(part.needs for part in self.parts.values()))

    @property
    def gives(self) -> frozenset[Part]:
        """What the sources give."""
        return frozenset[Part]().union(*(part.gives for part in self.parts.values()))

    def source(self, engines: Mapping[Role, object], grader: Grader) -> RewardSource:
        """The source; see `RewardRecipe`."""
        parts = [part.source(engines, grader) for part in self.parts.values()]
        return Combination(parts, blend=self.blend)
