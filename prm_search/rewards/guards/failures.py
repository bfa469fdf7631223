"""When too little could be scored to learn from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from prm_search.errors import ScoringError
from prm_search.rewards.reward import Reward


def require_rewards(rewards: Sequence[Reward], *, max_failure_share: float) -> None:
    """Stop if too many rewards are incomplete.

    A few failures leave a group smaller; many mean that the source is broken, and what is left
    is no fair sample of the rollouts.

    Args:
        rewards: of one training step.
        max_failure_share: in [0, 1].

    Raises:
        ScoringError: if the share of rewards with a failure is above the limit.
    """
    failures = [reward.failures[0] for reward in rewards if reward.failures]
    if len(failures) <= max_failure_share * len(rewards):
        return
    kind, count = Counter(failure.kind for failure in failures).most_common(1)[0]
    example = next(failure.message for failure in failures if failure.kind == kind)
    raise ScoringError(
        f"{len(failures)} of {len(rewards)} rollouts could not be rewarded, and at most a share "
        f"of {max_failure_share:g} may fail; {count} of them by {kind}: {example}"
    )
