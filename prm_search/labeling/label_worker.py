"""Labels problems on engines that run; see `prm_search.controlling`."""

from __future__ import annotations

from prm_search.labeling.annotation import Annotator
from prm_search.labeling.label_records import record_of_labels
from prm_search.labeling.labeler import Labeler
from prm_search.protocols import Generator, Grader, Judge
from prm_search.types import Problem


class LabelWorker:
    """A controller that labels."""

    def __init__(
        self,
        *,
        annotator: Annotator,
        num_responses: int,
        seed: int,
        generator: Generator,
        completer: Generator | None,
        judge: Judge | None,
        grader: Grader,
    ) -> None:
        """The engines run already.

        Args:
            annotator: where labels come from.
            num_responses: samples for each problem, at least 1.
            seed: of the run.
            generator: draws the samples.
            completer: completes prefixes, if the annotator needs that.
            judge: looks for the first wrong step, if the annotator needs that.
            grader: compares answers.
        """
        self._seed = seed
        self._grader = grader
        self._labeler = Labeler(
            annotator=annotator,
            num_responses=num_responses,
            seed=seed,
            generator=generator,
            completer=completer,
            judge=judge,
            grader=grader,
        )

    async def record(self, problem: Problem, method: str) -> dict[str, object]:
        """Label a problem; see `prm_search.controlling.Controller`."""
        return await record_of_labels(
            await self._labeler(problem), method=method, seed=self._seed, grader=self._grader
        )
