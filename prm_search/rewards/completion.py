"""Completions as training frameworks hand them over: one text."""

from __future__ import annotations

from dataclasses import replace

from prm_search.steps import split_text
from prm_search.types import Problem, StopReason, Trajectory


def read_completion(
    problem: Problem, completion: str, *, separator: str, is_truncated: bool
) -> Trajectory:
    """A completion as a trajectory; its steps' texts, joined, are the completion.

    Args:
        problem: what was asked.
        completion: the text, without special tokens. One without content gives no steps.
        separator: ends a step.
        is_truncated: whether the token limit cut it off.
    """
    if not completion.strip():
        return Trajectory(problem=problem)
    *steps, last = split_text(completion, separator)
    stop_reason = StopReason.LENGTH if is_truncated else StopReason.END
    return Trajectory(problem=problem, steps=(*steps, replace(last, stop_reason=stop_reason)))
