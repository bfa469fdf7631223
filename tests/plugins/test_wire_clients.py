"""The HTTP client that OpenRLHF and slime use (aiohttp), as they use it."""

from __future__ import annotations

import pytest

from prm_search.serving.service import RewardService
from tests.plugins.server import serving
from tests.serving.clients import KEY, PROBLEM, SOLUTION, fake_source

aiohttp = pytest.importorskip("aiohttp")


async def test_the_key_may_stand_in_the_url_that_frameworks_are_given() -> None:
    openrlhf = {"query": [PROBLEM + SOLUTION], "prompts": [PROBLEM], "labels": ["12"]}
    slime = {"prompt": PROBLEM, "response": SOLUTION, "label": "12"}
    with serving(RewardService(fake_source()), key=KEY) as url:
        with_key = url.replace("http://", f"http://:{KEY}@")
        async with aiohttp.ClientSession() as session:
            async with session.post(f"{with_key}/get_reward", json=openrlhf) as response:
                response.raise_for_status()
                assert (await response.json())["rewards"] == [pytest.approx(1.9)]
            async with session.post(f"{with_key}/slime", json=slime) as response:
                response.raise_for_status()
                assert await response.json() == pytest.approx(1.9)
            async with session.post(f"{url}/slime", json=slime) as response:
                assert response.status == 401
