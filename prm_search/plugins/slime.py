"""slime: `--custom-rm-path prm_search.plugins.slime.reward` (or `.reward_with_steps`).

Both ask the server at $PRM_SEARCH_REWARD_URL, and take one sample or, under `--group-rm`, a
list of them. `--rm-type remote_rm --rm-url http://:KEY@127.0.0.1:8421/slime` does the same
without this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from prm_search.errors import ScoringError
from prm_search.plugins.default import default_reading, default_rewarder
from prm_search.rewards.rewarder import Scored
from prm_search.serving.answers import rollout_answer
from prm_search.types import Trajectory


async def reward(args: object, sample: Any, **options: object) -> float | list[float]:
    """The number of a sample, or of each sample of a group.

    Raises:
        ScoringError: if something failed.
    """
    scored = await _ask(sample)
    numbers = [one.require_number() for one in scored]
    return numbers if isinstance(sample, list) else numbers[0]


async def reward_with_steps(
    args: object, sample: Any, **options: object
) -> dict[str, object] | list[dict[str, object]]:
    """The same with step scores and spans: `--reward-key reward` picks the number.

    Raises:
        ScoringError: if something failed.
    """
    scored = await _ask(sample)
    for one in scored:
        one.require_number()
    answers = [rollout_answer(one, None) for one in scored]
    return answers if isinstance(sample, list) else answers[0]


async def _ask(sample: Any) -> list[Scored]:
    samples = cast("list[Any]", sample) if isinstance(sample, list) else [sample]
    return await default_rewarder()([_read(one) for one in samples])


def _read(sample: Any) -> Trajectory:
    status = getattr(sample.status, "value", sample.status)
    if status in ("aborted", "failed"):
        raise ScoringError(f"the sample was not generated to its end: {status}")
    return default_reading().rollout(
        cast("str | Sequence[dict[str, object]]", sample.prompt),
        sample.response,
        sample.label,
        is_truncated=status == "truncated",
    )
