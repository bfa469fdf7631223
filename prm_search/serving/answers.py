"""What the server answers, as plain values."""

from __future__ import annotations

from collections.abc import Sequence

from prm_search.errors import ScoringError
from prm_search.rewards import Reward
from prm_search.rewards.credit import Advantages
from prm_search.rewards.rewarder import Scored
from prm_search.types import Failure, StepScores

_PASSING = frozenset({"EngineError", "EngineDeadError"})
"""Failures that may be gone when asked again."""


def rollout_answer(scored: Scored, advantages: Advantages | None) -> dict[str, object]:
    """A rollout in the answer of `POST /v1/rewards`."""
    reward = scored.reward
    return {
        "spans": [list(span) for span in reward.spans],
        "scores": list(reward.scores.values) if isinstance(reward.scores, StepScores) else None,
        "outcome": None if isinstance(reward.outcome, Failure) else reward.outcome,
        "reward": scored.number,
        "advantages": None
        if advantages is None
        else {
            "steps": list(advantages.steps),
            "rest": advantages.rest,
            "is_masked": advantages.is_masked,
        },
        "failures": _failures(reward),
    }


def openrlhf_answer(scored: Sequence[Scored]) -> dict[str, object]:
    """The answer of `POST /get_reward`.

    Raises:
        ScoringError: if one of the rollouts failed; the protocol has no place for that.
        ConfigurationError: if the credit only compares rollouts.
    """
    numbers = require_numbers(scored)
    logs: dict[str, list[float]] = {}
    outcomes = [one.reward.outcome for one in scored]
    known = [float(value) for value in outcomes if isinstance(value, float | int)]
    if len(known) == len(scored):
        logs["outcome"] = known
    steps = [one.reward.scores for one in scored]
    values = [part.values or (0.0,) for part in steps if isinstance(part, StepScores)]
    if len(values) == len(scored):
        logs["prm_min"] = [min(row) for row in values]
        logs["prm_mean"] = [sum(row) / len(row) for row in values]
    logs["num_steps"] = [float(len(one.reward.spans)) for one in scored]
    # Dynamic filtering looks at the scores: right or wrong where that is known.
    return {"rewards": numbers, "scores": logs.get("outcome", numbers), "extra_logs": logs}


def is_passing(scored: Sequence[Scored]) -> bool:
    """Whether all that failed may succeed when asked again."""
    kinds = {failure.kind for one in scored for failure in one.reward.failures}
    return bool(kinds) and kinds <= _PASSING


def require_numbers(scored: Sequence[Scored]) -> list[float]:
    """The numbers of rollouts.

    Raises:
        ScoringError: naming the rollouts that failed.
        ConfigurationError: if the credit only compares rollouts.
    """
    numbers: list[float] = []
    for index, one in enumerate(scored):
        try:
            numbers.append(one.require_number())
        except ScoringError as error:
            raise ScoringError(f"rollout {index}: {error}") from error
    return numbers


def _failures(reward: Reward) -> list[dict[str, str]]:
    return [
        {"part": name, "kind": part.kind, "message": part.message}
        for name, part in (("scores", reward.scores), ("outcome", reward.outcome))
        if isinstance(part, Failure)
    ]
