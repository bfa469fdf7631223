"""The values that pass between all parts.

    Problem --generate--> Trajectory = (Problem, Step, Step, …) --score--> StepScores
                                                                --judge--> Verdict

All of them are frozen and can be pickled. Token ids and logprobs travel with the text, so a
prefix is never tokenised a second time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

from prm_search.errors import EmptyStepError, ScoringError
from prm_search.value import Value

if TYPE_CHECKING:
    from prm_search.budget import Ledger
    from prm_search.course import Course
    from prm_search.tree import SearchTree

Metadata: TypeAlias = Mapping[str, object]


class StopReason(StrEnum):
    """Why a step, and so a trajectory, ended."""

    STEP = "step"
    """The step separator was reached: the trajectory can be continued."""
    END = "end"
    """The model ended its answer."""
    LENGTH = "length"
    """The token limit cut the step off."""


class SearchStop(StrEnum):
    """Why a search ended."""

    FINISHED = "finished"
    """The algorithm ran to its own end."""
    BUDGET = "budget"
    """A limit of the budget was reached; the result is the best so far."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem(Value):
    """A question, with its reference answer where one is known."""

    id: str
    """Unique within a data set."""
    prompt: str
    answer: str | None = None
    metadata: Metadata = field(default_factory=dict[str, object])


@dataclass(frozen=True, kw_only=True, slots=True)
class Step(Value):
    """One step as it was generated, its separator included.

    The texts of a trajectory's steps, joined without anything between, are the text that the
    model wrote.
    """

    text: str
    token_ids: tuple[int, ...] = ()
    """Policy tokens. Empty if the text did not come from a model."""
    logprobs: tuple[float, ...] = ()
    """Natural-log probability of each token, or empty. Same length as `token_ids`."""
    stop_reason: StopReason = StopReason.STEP

    @property
    def content(self) -> str:
        """The text without the white space around it."""
        return self.text.strip()


@dataclass(frozen=True, kw_only=True, slots=True)
class Trajectory(Value):
    """A problem and the steps taken so far: a prefix or a whole solution."""

    problem: Problem
    steps: tuple[Step, ...] = ()

    def extend(self, *steps: Step) -> Trajectory:
        """This trajectory and further steps.

        A step without content (white space, or the bare end of the answer) is no step of its
        own: it is joined to the step before it, so that nothing empty is ever scored.

        Raises:
            ValueError: if this trajectory has ended.
            EmptyStepError: if a step without content would be the first.
        """
        extended = list(self.steps)
        for step in steps:
            if extended and extended[-1].stop_reason is not StopReason.STEP:
                raise ValueError(
                    f"the trajectory of problem {self.problem.id!r} has ended "
                    f"({extended[-1].stop_reason}); it cannot be continued"
                )
            if step.content:
                extended.append(step)
                continue
            if not extended:
                raise EmptyStepError(
                    f"the first step of problem {self.problem.id!r} has no content: {step.text!r}"
                )
            last = extended[-1]
            extended[-1] = Step(
                text=last.text + step.text,
                token_ids=last.token_ids + step.token_ids,
                logprobs=last.logprobs + step.logprobs,
                stop_reason=step.stop_reason,
            )
        return replace(self, steps=tuple(extended))

    @property
    def text(self) -> str:
        """Everything that the model wrote."""
        return "".join(step.text for step in self.steps)

    @property
    def token_ids(self) -> tuple[int, ...]:
        """The policy's tokens of all steps."""
        return tuple(token for step in self.steps for token in step.token_ids)

    @property
    def num_tokens(self) -> int:
        """How many policy tokens the steps have."""
        return sum(len(step.token_ids) for step in self.steps)

    @property
    def stop_reason(self) -> StopReason | None:
        """Why the last step ended; None without steps."""
        return self.steps[-1].stop_reason if self.steps else None

    @property
    def is_finished(self) -> bool:
        """Whether the model ended its answer or was cut off."""
        return self.stop_reason in (StopReason.END, StopReason.LENGTH)


@dataclass(frozen=True, kw_only=True, slots=True)
class StepScores(Value):
    """P(step is correct) for each step of one trajectory."""

    values: tuple[float, ...]
    """[num_steps], each in [0, 1]."""

    def __post_init__(self) -> None:
        for index, value in enumerate(self.values):
            if not 0.0 <= value <= 1.0:  # also refuses NaN
                raise ScoringError(f"the score of step {index} is {value}; it must be in [0, 1]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure(Value):
    """Why something could not be done. Stands where a result would stand."""

    kind: str
    """Name of the error type."""
    message: str

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """The failure that an exception stands for."""
        return cls(kind=type(error).__name__, message=str(error))


@dataclass(frozen=True, kw_only=True, slots=True)
class StepLabel:
    """Whether a step is right, according to some source."""

    value: float | None
    """In [0, 1]; None means not labeled."""
    source: str
    """Who said so: "oracle", "monte_carlo", "judge", "human", …"""
    num_rollouts: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class LabeledTrajectory:
    """A trajectory and a label for each of its steps."""

    trajectory: Trajectory
    labels: tuple[StepLabel, ...]
    """[num_steps]"""

    def __post_init__(self) -> None:
        if len(self.labels) != len(self.trajectory.steps):
            raise ValueError(
                f"problem {self.trajectory.problem.id!r}: {len(self.labels)} labels for "
                f"{len(self.trajectory.steps)} steps"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict(Value):
    """What a judge says about a whole trajectory."""

    first_error: int | None
    """0-based index of the first wrong step; None if the judge found none."""
    critique: str
    """What the judge wrote."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage(Value):
    """What a call cost. All counts are tokens except `num_calls`.

    The tokens that an engine really computed are
    `prompt_tokens - cached_tokens + generated_tokens`.
    """

    prompt_tokens: int = 0
    """Tokens of all prompts, cached ones included; samples of one call share one prompt."""
    cached_tokens: int = 0
    """Prompt tokens whose keys and values were found in the engine's cache."""
    generated_tokens: int = 0
    scored_tokens: int = 0
    """What a PRM computed in order to score: `prompt_tokens - cached_tokens`, and the tokens of
    the analyses that it wrote."""
    num_calls: int = 0
    seconds: float = 0.0
    """Summed over calls; calls overlap, so this is not wall time."""

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            generated_tokens=self.generated_tokens + other.generated_tokens,
            scored_tokens=self.scored_tokens + other.scored_tokens,
            num_calls=self.num_calls + other.num_calls,
            seconds=self.seconds + other.seconds,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Generation(Value):
    """Continuations of one prefix, and what they cost."""

    continuations: tuple[tuple[Step, ...], ...]
    """[num_samples] new steps: one each when generating until the next step, else all."""
    usage: Usage
    policy_version: int = 0
    """Of the weights that all of them were drawn with; 0 for those that the engine started with."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scoring(Value):
    """Scores of several trajectories, and what they cost."""

    scores: tuple[StepScores | Failure, ...]
    """[num_trajectories]; a trajectory that could not be scored has its reason instead."""
    usage: Usage


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement(Value):
    """Verdicts on one trajectory, and what they cost."""

    verdicts: tuple[Verdict | Failure, ...]
    """[num_votes]"""
    usage: Usage


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A finished (or cut off) solution that a search found."""

    trajectory: Trajectory
    scores: StepScores | None = None
    """None for searches without a PRM, and for trajectories that could not be scored."""
    failure: Failure | None = None
    """Why there are no scores, if scoring was tried."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchResult:
    """What a search found for one problem."""

    problem: Problem
    best: Candidate | None
    """None if no candidate could be chosen, for example because every score failed."""
    candidates: tuple[Candidate, ...]
    tree: SearchTree
    ledger: Ledger
    """What was spent, by role."""
    stop_reason: SearchStop
    seed: int
    course: Course | None = field(default=None, compare=False)
    """What each round of it cost. Which of several rounds at the same time paid for what they
    have in common depends on the clock, so it does not make results different."""
