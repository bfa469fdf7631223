"""What functions that frameworks find by their dotted name take from the environment.

PRM_SEARCH_REWARD_URL       of `prm-search serve-reward`
PRM_SEARCH_API_KEY          its key
PRM_SEARCH_PROBLEM_PATTERN  `Reading.problem_pattern`, for prompts that are rendered chats
"""

from __future__ import annotations

import os
from functools import cache

from prm_search.plugins.reading import Reading
from prm_search.plugins.remote import RemoteRewarder


@cache
def default_rewarder() -> RemoteRewarder:
    """The server that the environment names.

    Raises:
        ConfigurationError: if it names none.
    """
    return RemoteRewarder.from_environment()


@cache
def default_reading() -> Reading:
    """How prompts are read."""
    return Reading(problem_pattern=os.environ.get("PRM_SEARCH_PROBLEM_PATTERN") or None)
