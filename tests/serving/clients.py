"""A service on fakes, and what talks to it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import httpx

from prm_search.budget import Ledger
from prm_search.fakes import FakeGrader, FakeScorer
from prm_search.plugins.reading import Reading
from prm_search.rewards import MicroBatching, Reward
from prm_search.rewards.credit import GroupCredit
from prm_search.rewards.sources import AnswerSource, Combination, PrmSource
from prm_search.serving.app import make_app
from prm_search.serving.service import RewardService
from prm_search.serving.settings import ServerSettings
from prm_search.types import Trajectory

KEY = "a-key"
SOLUTION = "Take 5 and add 7.\n\nThe answer is \\boxed{12}."
WRONG = "Take 5 and guess 7.\n\nThe answer is \\boxed{7}."
PROBLEM = "How much is 5 + 7?"


class SlowSource:
    """Holds everything back until it is told to go on."""

    def __init__(self, source: Combination) -> None:
        self._source = source
        self.gate = asyncio.Event()
        self.num_calls = 0

    @property
    def ledger(self) -> Ledger:
        return self._source.ledger

    async def reward(self, rollouts: Sequence[Trajectory]) -> list[Reward]:
        self.num_calls += 1
        await self.gate.wait()
        return await self._source.reward(rollouts)


def fake_source(scorer: FakeScorer | None = None) -> Combination:
    return Combination([PrmSource(scorer or FakeScorer(noise=0.0)), AnswerSource(FakeGrader())])


def client(
    service: RewardService | None = None,
    *,
    key: str | None = None,
    sends_key: bool = True,
    settings: ServerSettings | None = None,
    reading: Reading | None = None,
) -> httpx.AsyncClient:
    app = make_app(
        service or RewardService(fake_source()), key=key, settings=settings, reading=reading
    )
    headers = {"Authorization": f"Bearer {key}"} if key and sends_key else {}
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app),  # type: ignore[arg-type]
        base_url="http://server",
        headers=headers,
    )


def slow_service(
    batching: MicroBatching | None = None, credit: GroupCredit | None = None
) -> tuple[RewardService, SlowSource]:
    source = SlowSource(fake_source())
    return RewardService(source, batching=batching, credit=credit), source


def body(
    completion: str = SOLUTION, answer: str | None = "12", **fields: object
) -> dict[str, object]:
    return {"problem": PROBLEM, "completion": completion, "answer": answer, **fields}
