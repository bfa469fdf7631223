"""verifiers (and prime-rl): a reward function for `Rubric(funcs=[reward])`.

It asks the server at $PRM_SEARCH_REWARD_URL.
"""

from __future__ import annotations

from typing import Any

from prm_search.plugins.default import default_reading, default_rewarder
from prm_search.plugins.reading import Text


async def reward(
    prompt: Text, completion: Text, answer: str = "", state: Any = None, **options: object
) -> float:
    """The number of one completion.

    Raises:
        ScoringError: if something failed.
    """
    (scored,) = await default_rewarder()([default_reading().rollout(prompt, completion, answer)])
    return scored.require_number()
