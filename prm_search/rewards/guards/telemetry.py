"""Numbers of one training step that show where a policy is going."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Sequence

from prm_search.rewards.guards.repetition import repeated_steps, repetition
from prm_search.rewards.reward import Reward
from prm_search.types import Failure, StepScores, StopReason, Trajectory


def measure(
    rollouts: Sequence[Trajectory],
    rewards: Sequence[Reward],
    *,
    groups: Sequence[Hashable] | None = None,
) -> dict[str, float]:
    """The metrics of one training step.

    A number that is not defined (nothing was scored, no token is known, no outcome differs
    within its group, …) is left out; it is never 0 or NaN instead.

    Args:
        rollouts: [num_rollouts], at least one.
        rewards: [num_rollouts]
        groups: [num_rollouts] what each was drawn for; None means its problem.

    Returns:
        num_rollouts
        steps_per_response, tokens_per_step, tokens_per_response
        truncated, empty: shares of rollouts
        repetition, repeated_steps: means of `repetition` and `repeated_steps`
        prm_mean, prm_min: means over rollouts of the mean and the lowest step score
        outcome: the mean
        correlation: of a rollout's lowest step score and its outcome
        correlation_in_group: the same within groups, so that easy problems do not help
        score_failures, outcome_failures: shares of rollouts
        uniform_outcomes: share of groups in which the outcome decides nothing
    """
    pairs = list(zip(rollouts, rewards, strict=True))
    names = [rollout.problem.id for rollout in rollouts] if groups is None else groups
    sizes = [len(reward.spans) for reward in rewards]
    num_tokens = [rollout.num_tokens for rollout in rollouts]
    scores = [
        reward.scores.values
        for reward in rewards
        if isinstance(reward.scores, StepScores) and reward.scores.values
    ]
    outcomes = [
        (name, reward.outcome)
        for name, reward in zip(names, rewards, strict=True)
        if isinstance(reward.outcome, float)
    ]
    both = [
        (name, min(reward.scores.values), reward.outcome)
        for name, reward in zip(names, rewards, strict=True)
        if isinstance(reward.scores, StepScores)
        and reward.scores.values
        and isinstance(reward.outcome, float)
    ]
    texts = [[step.text for step in rollout.steps] for rollout, _ in pairs]
    metrics: dict[str, float | None] = {
        "num_rollouts": len(pairs),
        "steps_per_response": _mean(sizes),
        "tokens_per_response": _mean(num_tokens) if any(num_tokens) else None,
        "tokens_per_step": sum(num_tokens) / sum(sizes) if any(num_tokens) and any(sizes) else None,
        "truncated": _mean([rollout.stop_reason is StopReason.LENGTH for rollout in rollouts]),
        "empty": _mean([size == 0 for size in sizes]),
        "repetition": _mean([repetition(rollout.text) for rollout in rollouts]),
        "repeated_steps": _mean([repeated_steps(steps) for steps in texts]),
        "prm_mean": _mean([math.fsum(values) / len(values) for values in scores]),
        "prm_min": _mean([min(values) for values in scores]),
        "outcome": _mean([outcome for _, outcome in outcomes]),
        "correlation": _correlation([(score, outcome) for _, score, outcome in both]),
        "correlation_in_group": _correlation(_centered(both)),
        "score_failures": _mean([isinstance(reward.scores, Failure) for reward in rewards]),
        "outcome_failures": _mean([isinstance(reward.outcome, Failure) for reward in rewards]),
        "uniform_outcomes": _uniform_share(outcomes),
    }
    return {name: float(value) for name, value in metrics.items() if value is not None}


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def _correlation(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Pearson's; None if one side does not vary."""
    if not pairs:
        return None
    centers = [math.fsum(side) / len(pairs) for side in zip(*pairs, strict=True)]
    moved = [(first - centers[0], second - centers[1]) for first, second in pairs]
    spread = math.sqrt(math.fsum(x * x for x, _ in moved) * math.fsum(y * y for _, y in moved))
    return math.fsum(x * y for x, y in moved) / spread if spread > 1e-12 else None


def _centered(rows: Sequence[tuple[Hashable, float, float]]) -> list[tuple[float, float]]:
    """Scores and outcomes less the means of their group."""
    members: dict[Hashable, list[tuple[float, float]]] = defaultdict(list)
    for name, score, outcome in rows:
        members[name].append((score, outcome))
    centered: list[tuple[float, float]] = []
    for pairs in members.values():
        centers = [math.fsum(side) / len(pairs) for side in zip(*pairs, strict=True)]
        centered += [(first - centers[0], second - centers[1]) for first, second in pairs]
    return centered


def _uniform_share(outcomes: Sequence[tuple[Hashable, float]]) -> float | None:
    members: dict[Hashable, set[float]] = defaultdict(set)
    for name, outcome in outcomes:
        members[name].add(outcome)
    return _mean([len(values) == 1 for values in members.values()])
