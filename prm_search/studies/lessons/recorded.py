"""What rollouts and judge said about each response, as a labeling run has recorded it.

A run of label=consensus that draws all rollouts of each step up to the first one without a
success, and asks the judge beside, holds what every source of labels is computed from.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prm_search.data.stepwise import StepwiseRow
from prm_search.errors import DataError
from prm_search.labeling import judge_votes, monte_carlo
from prm_search.labeling.annotation import Annotation
from prm_search.labeling.rollouts import Outcome
from prm_search.labeling.tally import Tally
from prm_search.store import RESULTS
from prm_search.types import Failure

_FAILED = (Outcome.WRONG.value, Outcome.NO_ANSWER.value)
_UNDECIDED = (Outcome.UNGRADABLE.value, Outcome.NO_ROOM.value)
UNDECIDED = "rollout that cannot be graded"
"""The reason for which a response is left out, beside those of the labeling run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordedResponse:
    """A response, and what was said about its steps."""

    id: str
    problem_id: str
    prompt: str
    reference: str
    """Answer of the problem."""
    steps: tuple[str, ...]
    """Contents, without separators."""
    is_answer_correct: bool | None
    tallies: tuple[Tally, ...]
    """Of each step up to and including the first without a success, or of all; the last step's
    is the response's own answer."""
    num_rollouts: tuple[int, ...]
    """[num_steps] that were drawn."""
    judged: int | Failure | None
    """First error that the judge names, or why it names none; None for "no error"."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recording:
    """The responses of a labeling run."""

    responses: tuple[RecordedResponse, ...]
    left_out: Mapping[str, int]
    """Responses that no source can label, by reason."""


def read_recording(run_dir: Path) -> Recording:
    """Read a finished labeling run.

    Raises:
        DataError: if it is not finished, or not one of the kind that is needed.
    """
    path = run_dir / RESULTS
    responses: list[RecordedResponse] = []
    left_out: Counter[str] = Counter()
    try:
        with path.open() as file:
            for line in file:
                for item in _responses(json.loads(line)):
                    if isinstance(item, str):
                        left_out[item] += 1
                    else:
                        responses.append(item)
    except FileNotFoundError as error:
        raise DataError(f"{run_dir} holds no finished labeling run") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} is not what label=consensus writes with "
            f"label.monte_carlo.order=stop_at_first_error: {error!r}"
        ) from error
    return Recording(responses=tuple(responses), left_out=dict(left_out.most_common()))


def stepwise_row(response: RecordedResponse, annotation: Annotation) -> StepwiseRow:
    """A response that a source has kept, to be trained on."""
    first_error = annotation.first_error
    end = len(response.steps) if first_error is None else first_error + 1
    labels = annotation.labels[:end]
    return StepwiseRow(
        prompt=response.prompt,
        completions=response.steps[:end],
        labels=tuple(step != first_error for step in range(end)),
        soft_labels=tuple(label.value for label in labels),
        label_sources=tuple(label.source for label in labels),
        num_rollouts=tuple(label.num_rollouts for label in labels),
        unlabeled_steps=response.steps[end:],
        id=response.id,
        problem_id=response.problem_id,
        answer=response.reference,
        is_answer_correct=response.is_answer_correct,
    )


def _responses(record: Mapping[str, Any]) -> Iterator[RecordedResponse | str]:
    for response in record["responses"]:
        rollouts = response["details"].get(monte_carlo.SOURCE)
        verdict = response["details"].get(judge_votes.SOURCE)
        if rollouts is None or verdict is None:  # cut off, or too long for an engine
            yield str(response["rejection"]["kind"])
            continue
        if set(rollouts["outcomes"]) & set(_UNDECIDED) or "first_error" not in rollouts:
            yield UNDECIDED  # the record does not say of which step
            continue
        rejection = response["rejection"]
        yield RecordedResponse(
            id=response["id"],
            problem_id=record["problem"],
            prompt=record["prompt"],
            reference=record["reference"],
            steps=tuple(step.strip() for step in response["steps"]),
            is_answer_correct=response["is_correct"],
            tallies=tuple(_tallies(rollouts)),
            num_rollouts=tuple(rollouts["num_rollouts"]),
            judged=verdict["first_error"]
            if "first_error" in verdict
            else Failure(kind=rejection["kind"], message=rejection["message"]),
        )


def _tallies(rollouts: Mapping[str, Any]) -> Iterator[Tally]:
    drawn, won = rollouts["num_rollouts"], rollouts["num_successes"]
    first_error = rollouts["first_error"]
    last = len(drawn) - 1
    for step in range(last if first_error is None else min(first_error + 1, last)):
        if drawn[step] < 1:
            raise ValueError(f"no rollouts of step {step}")
        yield Tally(num_successes=won[step], num_failures=drawn[step] - won[step])
    if first_error in (None, last):
        answer = rollouts["answer"]
        if answer not in (Outcome.RIGHT.value, *_FAILED):
            raise ValueError(f"an answer that is {answer}")
        is_right = answer == Outcome.RIGHT.value
        yield Tally(num_successes=int(is_right), num_failures=int(not is_right))
