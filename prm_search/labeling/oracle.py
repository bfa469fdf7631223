"""The sandbox oracle as an annotator: labels that are true."""

from __future__ import annotations

from dataclasses import dataclass

from prm_search.budget import Role
from prm_search.errors import ConfigurationError
from prm_search.labeling.annotation import Annotation, Response
from prm_search.labeling.rejection import Rejection, require_finished
from prm_search.labeling.step_labels import no_labels, step_labels
from prm_search.protocols import Generator, Grader, Judge
from prm_search.sandbox.oracle import check_steps

SOURCE = "oracle"


@dataclass(frozen=True, kw_only=True, slots=True)
class SandboxOracle:
    """Labels the steps of sandbox solutions as they really are."""

    @property
    def needs(self) -> frozenset[Role]:
        """Nothing."""
        return frozenset()

    async def __call__(
        self,
        response: Response,
        *,
        completer: Generator | None,
        judge: Judge | None,
        grader: Grader,
        seed: int,
    ) -> Annotation:
        """Label the steps of a response; see `prm_search.labeling.annotation.Annotator`."""
        trajectory = response.trajectory
        num_steps = len(trajectory.steps)
        try:
            require_finished(response)
        except Rejection as rejection:
            labels = no_labels(num_steps, source=SOURCE)
            return Annotation(labels=labels, rejection=rejection.failure)
        try:
            errors = check_steps(
                trajectory.problem.prompt, [step.content for step in trajectory.steps]
            )
        except ValueError as error:
            raise ConfigurationError(
                f"problem {trajectory.problem.id!r} is no sandbox problem, and the oracle knows "
                f"no others: {error}; use data=sandbox or another annotator"
            ) from error
        wrong = [step for step, error in enumerate(errors) if error is not None]
        first_error = wrong[0] if wrong else None
        return Annotation(
            labels=step_labels(num_steps, first_error, source=SOURCE),
            first_error=first_error,
            details={SOURCE: {"first_error": first_error, "errors": list(errors)}},
        )
