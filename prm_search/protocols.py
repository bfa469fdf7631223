"""The parts that the system is put together from, as protocols.

Whoever uses a part does not know where or how it runs: in this process, behind a Ray actor,
or over HTTP.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol, runtime_checkable

from prm_search.budget import Budget
from prm_search.types import Generation, Judgement, Problem, Scoring, SearchResult, Trajectory


class Until(StrEnum):
    """How far to generate."""

    STEP = "step"
    """To the next step separator or the end of the answer."""
    END = "end"
    """To the end of the answer."""


@runtime_checkable
class Generator(Protocol):
    """A policy that continues prefixes."""

    async def generate(
        self,
        prefix: Trajectory,
        *,
        num_samples: int,
        until: Until,
        seed: int,
        temperature: float | None = None,
    ) -> Generation:
        """Draw continuations of a prefix.

        Args:
            prefix: an unfinished trajectory; may have no steps.
            num_samples: how many continuations, at least 1.
            until: to the end of the step, or of the answer.
            seed: the same seed and prefix give the same continuations, up to the numerics of
                the engine.
            temperature: 0 means greedy; None means the policy's own.

        Raises:
            ContextLengthError: if the prefix does not fit into the context.
            EngineError: if the engine failed.
        """
        ...


@runtime_checkable
class Scorer(Protocol):
    """A PRM."""

    async def score(self, trajectories: Sequence[Trajectory]) -> Scoring:
        """Score every step of each trajectory.

        The scores of step k depend on the problem and steps 0 … k alone.

        Raises:
            EngineError: if the engine failed. A single trajectory that cannot be scored gives
                a Failure in its place instead.
        """
        ...


@runtime_checkable
class Judge(Protocol):
    """An LLM that looks for the first wrong step."""

    async def judge(self, trajectory: Trajectory, *, num_votes: int, seed: int) -> Judgement:
        """Obtain verdicts on a trajectory with at least one step.

        Raises:
            EngineError: if the engine failed. A critique that cannot be read gives a Failure
                in its place instead.
        """
        ...


class Grader(Protocol):
    """Decides whether two answers are the same answer."""

    def extract(self, solution: str) -> str | None:
        """The final answer in a solution, or None if there is none."""
        ...

    async def equivalent(self, first: str, second: str) -> bool:
        """Whether two answers are equivalent.

        Raises:
            GradingError: if it cannot be told. Never answered by False.
        """
        ...


class SearchAlgorithm(Protocol):
    """A frozen dataclass whose fields are the hyperparameters of a search.

    One that can do without a PRM says so by a property `needs_scorer` that is False; then no
    PRM is started for it.
    """

    async def __call__(
        self,
        problem: Problem,
        *,
        generator: Generator,
        scorer: Scorer | None,
        grader: Grader,
        budget: Budget,
        seed: int,
    ) -> SearchResult:
        """Search for a solution of one problem.

        Reaching the budget is no error: the best so far is returned.

        Raises:
            ConfigurationError: if the algorithm needs a scorer and gets None.
            EngineError: if an engine failed for good.
        """
        ...
