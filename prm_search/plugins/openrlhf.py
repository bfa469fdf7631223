"""OpenRLHF: a reward function in a .py file, for `--reward.remote_url FILE.py`.

    # my_reward.py
    from prm_search.plugins.openrlhf import OpenRlhfReward
    from prm_search.plugins.reading import Reading
    from prm_search.plugins.remote import RemoteRewarder

    reward_func = OpenRlhfReward(RemoteRewarder("http://127.0.0.1:8421"), reading=Reading(…))

`--reward.remote_url http://:KEY@127.0.0.1:8421/get_reward` needs no file at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from prm_search.plugins.reading import Reading
from prm_search.rewards.rewarder import Rewarder
from prm_search.serving.answers import openrlhf_answer


class OpenRlhfReward:
    """Rewards of OpenRLHF's queries. Called in threads, each call with a loop of its own."""

    def __init__(self, rewarder: Rewarder, *, reading: Reading | None = None) -> None:
        """Take a rewarder that can be used from any event loop, such as `RemoteRewarder`."""
        self._rewarder = rewarder
        self._reading = reading or Reading()

    def __call__(
        self, queries: Sequence[str], prompts: Sequence[str], labels: Sequence[object]
    ) -> dict[str, object]:
        """The dict that OpenRLHF asks for: rewards, scores, extra_logs.

        Raises:
            ScoringError: if something failed; OpenRLHF logs it and leaves the reward out.
        """
        rollouts = [
            self._reading.rollout(prompt, self._reading.split(query, prompt), label)
            for query, prompt, label in zip(queries, prompts, labels, strict=True)
        ]

        async def ask() -> dict[str, object]:
            return openrlhf_answer(await self._rewarder(rollouts))

        return asyncio.run(ask())
