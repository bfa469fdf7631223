"""What all sources of step labels have in common.

Response --annotator--> Annotation = a label per step, or the reason why it is set aside
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from prm_search.budget import Ledger, Role
from prm_search.protocols import Generator, Grader, Judge
from prm_search.types import Failure, LabeledTrajectory, StepLabel, Trajectory


@dataclass(frozen=True, kw_only=True, slots=True)
class Response:
    """A solution whose steps are to be labeled."""

    id: str
    """Unique within a data set; the seeds of its rollouts derive from it."""
    trajectory: Trajectory
    """Has at least one step."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Annotation:
    """Labels of the steps of one response, and what they cost."""

    labels: tuple[StepLabel, ...]
    """[num_steps]. Steps after the first error have the value None (not labeled)."""
    first_error: int | None = None
    """0-based index of the first step that is held to be wrong; None if none is."""
    rejection: Failure | None = None
    """Why the response is not kept: the sources disagree, a critique cannot be read, an answer
    cannot be graded, … A response without one is kept. Its `kind` is what the card counts."""
    ledger: Ledger = field(default_factory=Ledger)
    """What was spent, by role. `num_generations` counts the rollouts."""
    details: Mapping[str, object] = field(default_factory=dict[str, object])
    """What the sources said, as plain values for the record."""

    def of(self, response: Response) -> LabeledTrajectory:
        """The labels together with what they are labels of."""
        return LabeledTrajectory(trajectory=response.trajectory, labels=self.labels)


class Annotator(Protocol):
    """A frozen dataclass whose fields are the hyperparameters of a source of labels."""

    @property
    def needs(self) -> frozenset[Role]:
        """Engines that it cannot do without: Role.POLICY (the completer), Role.JUDGE."""
        ...

    async def __call__(
        self,
        response: Response,
        *,
        completer: Generator | None,
        judge: Judge | None,
        grader: Grader,
        seed: int,
    ) -> Annotation:
        """Label the steps of a response.

        The result depends on the response, the seed and what the engines answer, never on what
        else is labeled at the same time.

        Raises:
            ConfigurationError: if an engine that it needs is None.
            EngineError: if an engine failed for good.
        """
        ...
