from __future__ import annotations

import json
import logging
import pickle
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from prm_search.budget import Role
from prm_search.concurrency import gather_all
from prm_search.errors import ConfigurationError, EngineError
from prm_search.fakes import FakeScorer
from prm_search.plugins.reading import Reading
from prm_search.plugins.remote import RemoteRewarder
from prm_search.rewards import MicroBatching
from prm_search.rewards.rewarder import LocalRewarder
from prm_search.rewards.sources import PrmSource
from prm_search.serving.service import RewardService
from prm_search.serving.settings import ServerSettings
from prm_search.types import Scoring, Trajectory
from tests.plugins.server import serving
from tests.serving.clients import KEY, PROBLEM, SOLUTION, WRONG, fake_source


def rollouts() -> list[Trajectory]:
    read = Reading().rollout
    return [
        read(PROBLEM, SOLUTION, "12"),
        read(PROBLEM, WRONG, "12"),
        read(PROBLEM, SOLUTION, None),
        read(PROBLEM, SOLUTION, "12", is_truncated=True),
        read(PROBLEM, "", "12"),
    ]


async def test_a_server_rewards_like_the_source_itself() -> None:
    here = await LocalRewarder(fake_source())(rollouts())
    with serving(RewardService(fake_source()), key=KEY) as url:
        rewarder = pickle.loads(pickle.dumps(RemoteRewarder(url, key=KEY)))
        there = await rewarder(rollouts())
    for first, second in zip(here, there, strict=True):
        assert first.reward.spans == second.reward.spans
        assert first.reward.scores == second.reward.scores
        assert first.number == second.number
        assert [item.kind for item in first.reward.failures] == [
            item.kind for item in second.reward.failures
        ]


async def test_an_overloaded_server_is_asked_again_until_all_are_rewarded() -> None:
    service = RewardService(
        fake_source(FakeScorer(latency=0.2)), batching=MicroBatching(max_queue=8)
    )
    texts = [f"Take {index}.\n\nThe answer is \\boxed{{{index}}}." for index in range(60)]
    with serving(service) as url:
        rewarder = RemoteRewarder(url)
        answers = await gather_all(
            rewarder([Reading().rollout(PROBLEM, text, str(index))])
            for index, text in enumerate(texts)
        )
    assert [one.reward.outcome for (one,) in answers] == [1.0] * 60


async def test_a_server_that_takes_less_at_once_gets_less_at_once() -> None:
    here = await LocalRewarder(fake_source())(rollouts())
    with serving(RewardService(fake_source()), settings=ServerSettings(max_rollouts=2)) as url:
        there = await RemoteRewarder(url)(rollouts())
    assert [one.number for one in there] == [one.number for one in here]


async def test_a_body_that_is_too_large_is_halved() -> None:
    long = "Take 5 and add 7. " * 40_000
    texts = [f"{long}{place}.\n\nThe answer is \\boxed{{12}}." for place in range(12)]
    solutions = [Reading().rollout(PROBLEM, text, "12") for text in texts]
    settings = ServerSettings(max_body_mib=2.0, max_characters=10**7)
    with serving(RewardService(fake_source()), settings=settings) as url:
        scored = await RemoteRewarder(url, max_seconds=30)(solutions)
    assert [one.reward.outcome for one in scored] == [1.0] * 12


async def test_a_rollout_that_alone_is_too_large_is_an_error() -> None:
    settings = ServerSettings(max_characters=10)
    with (
        serving(RewardService(fake_source()), settings=settings) as url,
        pytest.raises(EngineError, match=r"413.*at most 10"),
    ):
        await RemoteRewarder(url)(rollouts()[:2])


async def test_a_server_that_reads_rendered_chats_takes_plain_problems_too() -> None:
    reading = Reading(problem_pattern="user:(.*?):end", needs_end_token=True)
    with serving(RewardService(fake_source()), reading=reading) as url:
        [one] = await RemoteRewarder(url)(rollouts()[:1])
    assert one.reward.outcome == 1.0


class Gone:
    """The pool of an engine of which no replica is left."""

    counters = SimpleNamespace(num_running=0, num_in_flight=0, num_waiting=0, num_restarts=0)

    async def score(self, trajectories: Sequence[Trajectory]) -> Scoring:
        raise EngineError("the last replica is gone")


async def test_a_server_without_its_engine_is_an_error_in_the_end_and_no_failure_of_rollouts() -> (
    None
):
    service = RewardService(PrmSource(Gone()), engines={Role.PRM: Gone()})
    with serving(service) as url, pytest.raises(EngineError, match="no engine is running"):
        await RemoteRewarder(url, max_seconds=0.5)(rollouts()[:1])


async def test_a_wrong_key_is_said() -> None:
    with (
        serving(RewardService(fake_source()), key=KEY) as url,
        pytest.raises(ConfigurationError, match="PRM_SEARCH_API_KEY"),
    ):
        await RemoteRewarder(url, key="other")(rollouts())


async def test_a_server_that_is_away_is_an_error_in_the_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    rewarder = RemoteRewarder(f"http://127.0.0.1:{port}", max_seconds=0.5)
    with pytest.raises(EngineError, match=r"within 0\.5 s.*refused"):
        await rewarder(rollouts())


REWARD = {"spans": [[0, 4]], "scores": [0.9], "outcome": 1.0, "reward": 1.9, "failures": []}
ANSWER = json.dumps({"rollouts": [REWARD]})


def http(status: str, body: str, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\n\r\n{body}".encode()


@contextmanager
def scripted(*answers: bytes) -> Iterator[str]:
    """The URL of what gives each answer to one request, and hangs up."""

    def answer(listener: socket.socket) -> None:
        for text in answers:
            connection, _ = listener.accept()
            with connection, connection.makefile("rwb") as stream:
                headers = dict(
                    line.decode().lower().strip().split(": ", 1)
                    for line in iter(stream.readline, b"\r\n")
                    if b": " in line
                )
                stream.read(int(headers["content-length"]))
                stream.write(text)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer, args=(listener,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(timeout=60)


@pytest.mark.parametrize(
    "lost",
    [
        pytest.param(b"", id="before it answered"),
        pytest.param(b"HTTP/1.1 20", id="within the status"),
        pytest.param(http("200 OK", ANSWER[:40], len(ANSWER)), id="within the answer"),
        pytest.param(http("503 Service Unavailable", "{", 50), id="within a refusal"),
        pytest.param(http("502 Bad Gateway", "<html>"), id="behind a proxy"),
    ],
)
async def test_a_server_that_is_lost_is_asked_again(lost: bytes) -> None:
    with scripted(lost, http("200 OK", ANSWER)) as url:
        [scored] = await RemoteRewarder(url)(rollouts()[:1])
    assert scored.number == 1.9
    assert scored.reward.failures == ()


@pytest.mark.parametrize("text", ["<html>", "[]", '{"detail": "x"}'])
async def test_what_is_no_reward_server_is_said(text: str) -> None:
    with (
        scripted(http("200 OK", text)) as url,
        pytest.raises(EngineError, match="does not answer as a reward server does"),
    ):
        await RemoteRewarder(url)(rollouts()[:1])


async def test_it_is_said_once_that_a_server_is_away(caplog: pytest.LogCaptureFixture) -> None:
    with scripted(b"", b"", http("200 OK", ANSWER)) as url, caplog.at_level(logging.WARNING):
        await RemoteRewarder(url)(rollouts()[:1])
    [record] = caplog.records
    assert "is away" in record.getMessage()


def test_the_environment_has_to_name_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PRM_SEARCH_REWARD_URL", raising=False)
    with pytest.raises(ConfigurationError, match="PRM_SEARCH_REWARD_URL"):
        RemoteRewarder.from_environment()
    with pytest.raises(ConfigurationError, match="without http"):
        RemoteRewarder("127.0.0.1:8421")
