"""Samples responses to a problem and has their steps labeled.

Problem --policy--> samples --> distinct responses --annotator--> annotations
                       └─> set aside, with the reason
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from prm_search.budget import Ledger, Role
from prm_search.concurrency import gather_all
from prm_search.errors import ConfigurationError, EmptyStepError, PrmSearchError
from prm_search.labeling.annotation import Annotation, Annotator, Response
from prm_search.labeling.rejection import Reason, Rejection, require_finished
from prm_search.labeling.step_labels import no_labels
from prm_search.protocols import Generator, Grader, Judge, Until
from prm_search.record_fields import is_transient
from prm_search.seeds import derive_seed
from prm_search.types import Failure, Problem, Step, Trajectory


class SampleReason(StrEnum):
    """Why a sample is no response of its own."""

    DUPLICATE = "duplicate"
    """It has the same steps as an earlier one."""
    EMPTY = "empty"
    """It has no content."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SetAsideSample:
    """A sample that is not labeled."""

    index: int
    """0-based, among the samples of the problem."""
    failure: Failure


@dataclass(frozen=True, kw_only=True, slots=True)
class LabeledProblem:
    """The responses to a problem with their labels."""

    problem: Problem
    num_samples: int
    """Responses that were sampled."""
    labeled: tuple[tuple[Response, Annotation], ...] = ()
    """The distinct ones, kept or not."""
    set_aside: tuple[SetAsideSample, ...] = ()
    """The others."""
    failure: Failure | None = None
    """Why nothing was sampled."""
    sampling: Ledger = field(default_factory=Ledger)
    """What the samples have cost. The annotations have ledgers of their own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Labeler:
    """Labels problems one at a time; call it for many at the same time."""

    annotator: Annotator
    num_responses: int
    """Samples for each problem, at least 1."""
    seed: int
    generator: Generator
    """Samples the responses."""
    completer: Generator | None
    """For annotators that need one; may be the generator."""
    judge: Judge | None
    """For annotators that need one."""
    grader: Grader

    async def __call__(self, problem: Problem) -> LabeledProblem:
        """Sample and label responses to a problem.

        The result depends on the problem, the seed and what the engines answer.

        Raises:
            ConfigurationError: if the annotator cannot work with these parts.
            EngineError: if an engine failed, or the problem does not fit into the context.
        """
        if problem.answer is None and Role.POLICY in self.annotator.needs:
            return LabeledProblem(
                problem=problem,
                num_samples=0,
                failure=Failure(
                    kind=Reason.NO_REFERENCE_ANSWER,
                    message="nothing to grade the rollouts against; give the problem an answer",
                ),
            )
        generation = await self.generator.generate(
            Trajectory(problem=problem),
            num_samples=self.num_responses,
            until=Until.END,
            seed=derive_seed(self.seed, "responses", problem.id),
        )
        responses, set_aside = _distinct(problem, generation.continuations)
        annotations = await gather_all(self._annotate(response) for response in responses)
        return LabeledProblem(
            problem=problem,
            num_samples=len(generation.continuations),
            labeled=tuple(zip(responses, annotations, strict=True)),
            set_aside=set_aside,
            sampling=Ledger().charge(
                Role.POLICY, generation.usage, num_generations=len(generation.continuations)
            ),
        )

    async def _annotate(self, response: Response) -> Annotation:
        num_steps = len(response.trajectory.steps)
        try:
            require_finished(response)
            return await self.annotator(
                response,
                completer=self.completer,
                judge=self.judge,
                grader=self.grader,
                seed=self.seed,
            )
        except Rejection as rejection:
            failure = rejection.failure
        except PrmSearchError as error:
            if isinstance(error, ConfigurationError) or is_transient(error):
                raise
            failure = Failure.of(error)  # the other responses are none the worse for it
        return Annotation(labels=no_labels(num_steps, source="none"), rejection=failure)


def _distinct(
    problem: Problem, samples: tuple[tuple[Step, ...], ...]
) -> tuple[tuple[Response, ...], tuple[SetAsideSample, ...]]:
    """The samples that have content and differ from those before them, and the others."""
    responses: dict[tuple[str, ...], Response] = {}
    set_aside: list[SetAsideSample] = []
    for index, steps in enumerate(samples):
        try:
            trajectory = Trajectory(problem=problem).extend(*steps)
            if not trajectory.steps:
                raise EmptyStepError("the sample has no steps")
        except EmptyStepError as error:
            set_aside.append(_set_aside(index, SampleReason.EMPTY, str(error)))
            continue
        response = Response(id=f"{problem.id}/{index}", trajectory=trajectory)
        first = responses.setdefault(tuple(step.content for step in trajectory.steps), response)
        if first is not response:
            message = f"the same steps as {first.id}"
            set_aside.append(_set_aside(index, SampleReason.DUPLICATE, message))
    return tuple(responses.values()), tuple(set_aside)


def _set_aside(index: int, reason: SampleReason, message: str) -> SetAsideSample:
    return SetAsideSample(index=index, failure=Failure(kind=reason, message=message))
