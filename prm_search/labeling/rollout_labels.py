"""Labels from rollouts: what is the same whichever rule finds the first error."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from prm_search.labeling.annotation import Annotation, Response
from prm_search.labeling.rejection import Reason, Rejection
from prm_search.labeling.rollouts import Rollouts
from prm_search.labeling.step_labels import no_labels, step_labels
from prm_search.labeling.tally import StepState, stops
from prm_search.protocols import Generator, Grader


async def label_by_rollouts(
    response: Response,
    find_first_error: Callable[[Rollouts], Awaitable[int | None]],
    *,
    completer: Generator,
    grader: Grader,
    seed: int,
    source: str,
    is_soft: bool = False,
) -> Annotation:
    """Label a response by the first error that is found with its rollouts.

    Args:
        response: to label.
        find_first_error: draws rollouts; may raise a Rejection.
        completer: completes prefixes.
        grader: compares answers.
        seed: of the rollouts.
        source: who labels; also the key of the details.
        is_soft: whether a label is the share of successes rather than 1 or 0.

    Raises:
        EngineError: if the completer failed.
    """
    num_steps = len(response.trajectory.steps)
    try:
        rollouts = Rollouts(response, completer=completer, grader=grader, seed=seed)
    except Rejection as rejection:
        labels = no_labels(num_steps, source=source)
        return Annotation(labels=labels, rejection=rejection.failure)
    try:
        first_error = await find_first_error(rollouts)
    except Rejection as rejection:
        return Annotation(
            labels=no_labels(num_steps, source=source, num_rollouts=rollouts.num_drawn),
            rejection=rejection.failure,
            ledger=rollouts.ledger,
            details={source: rollouts.summary()},
        )
    labels = step_labels(num_steps, first_error, source=source, num_rollouts=rollouts.num_drawn)
    if is_soft:
        labels = tuple(
            label if label.value is None else replace(label, value=rollouts.tally(step).share)
            for step, label in enumerate(labels)
        )
    return Annotation(
        labels=labels,
        first_error=first_error,
        ledger=rollouts.ledger,
        details={source: {"first_error": first_error, **rollouts.summary()}},
    )


async def is_right(
    rollouts: Rollouts,
    step: int,
    *,
    num_rollouts: int,
    waves: Sequence[int],
    threshold: float = 0.0,
) -> bool:
    """Draw rollouts of a step, wave by wave, until it is decided whether it is right.

    Args:
        rollouts: of the response.
        step: 0-based index.
        num_rollouts: how many may be drawn.
        waves: how many are drawn side by side; the last number is repeated.
        threshold: a step is right if its share of successes is above it, in [0, 1).

    Raises:
        EngineError: if the completer failed.
        Rejection: if no rollout of the step can be graded.
    """
    if step == rollouts.num_steps - 1:
        num_rollouts = 1
    state = StepState.OPEN
    for count in stops(waves, num_rollouts):
        tally = await rollouts.draw(step, count)
        state = tally.state(num_rollouts=num_rollouts, threshold=threshold)
        if state is not StepState.OPEN:
            break
    if state is StepState.UNKNOWN:
        raise Rejection(
            Reason.UNGRADABLE, f"step {step}: of {num_rollouts} rollouts none could be graded"
        )
    return state is StepState.RIGHT
