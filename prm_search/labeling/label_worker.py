"""A controller: labels problems, many at the same time, wherever it runs.

It is an engine like the models: made from what can be pickled, then started. So a cluster can
run several of them side by side, each with a grader of its own, all with the same policy,
completer and judge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from prm_search.grading import GraderSettings, MathGrader
from prm_search.labeling.annotation import Annotator
from prm_search.labeling.label_records import record_of_labels
from prm_search.labeling.labeler import Labeler
from prm_search.protocols import Generator, Judge
from prm_search.types import Problem


class ProblemLabeler(Protocol):
    """What labels a problem, here or in another process."""

    async def label(self, problem: Problem) -> dict[str, object]:
        """The record of the labeled problem, without the time when it was made.

        Raises:
            ConfigurationError: if no problem can be labeled with these parts.
            EngineError: if an engine failed, or this labeler.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelWorkerSettings:
    """What a controller does."""

    method: str
    """Name of the annotator, in the records."""
    annotator: Annotator
    num_responses: int
    """Samples for each problem, at least 1."""
    seed: int
    grader: GraderSettings


class LabelWorker:
    """A controller."""

    def __init__(
        self,
        settings: LabelWorkerSettings,
        *,
        generator: Generator,
        completer: Generator | None,
        judge: Judge | None,
    ) -> None:
        """The engines run already; they stay whoever's they are."""
        self._settings = settings
        self._grader = MathGrader(settings.grader)
        self._labeler = Labeler(
            annotator=settings.annotator,
            num_responses=settings.num_responses,
            seed=settings.seed,
            generator=generator,
            completer=completer,
            judge=judge,
            grader=self._grader,
        )

    async def start(self) -> None:
        """Nothing: the grader starts when it is first needed."""

    async def reset_cache(self) -> None:
        """Nothing: what it remembers does not change what anything costs."""

    async def label(self, problem: Problem) -> dict[str, object]:
        """Label a problem; see `ProblemLabeler`."""
        return await record_of_labels(
            await self._labeler(problem),
            method=self._settings.method,
            seed=self._settings.seed,
            grader=self._grader,
        )

    async def close(self) -> None:
        """End the grader's processes."""
        self._grader.close()
