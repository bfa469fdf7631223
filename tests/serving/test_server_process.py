"""The command in a process of its own, over real sockets, on fake engines."""

from __future__ import annotations

import asyncio
import signal

import httpx
import pytest

from prm_search.cli import main
from prm_search.serving.settings import KEY_VARIABLE
from tests.serving.clients import KEY, PROBLEM
from tests.serving.processes import SETTINGS, started


def rollouts(index: int) -> dict[str, object]:
    text = f"Take {index}.\n\nThe answer is \\boxed{{{index}}}."
    return {"rollouts": [{"problem": PROBLEM, "completion": text, "answer": str(index)}]}


async def test_two_hundred_clients_are_answered_though_the_server_is_told_to_end() -> None:
    with started("+engine.scorer.latency=2.0", "batching.max_batch=8") as server:
        url = server.wait_for(r"(http://\S+)")
        limits = httpx.Limits(max_connections=200)
        async with httpx.AsyncClient(
            base_url=url, headers={"Authorization": f"Bearer {KEY}"}, limits=limits, timeout=60
        ) as http:
            tasks = [
                asyncio.create_task(http.post("/v1/rewards", json=rollouts(index)))
                for index in range(200)
            ]
            while True:
                metrics = (await http.get("/metrics")).text
                if "prm_search_rollouts_total 201.0" in metrics:  # one of them is the probe
                    break
                await asyncio.sleep(0.02)
            assert not all(task.done() for task in tasks)
            server.process.send_signal(signal.SIGTERM)
            answers = [await task for task in tasks]
        assert [answer.status_code for answer in answers] == [200] * 200
        assert {answer.json()["rollouts"][0]["outcome"] for answer in answers} == {1.0}
        output = server.end()
    assert server.process.returncode == 0, output
    assert "Traceback" not in output
    assert KEY not in output


async def test_it_says_so_if_requests_are_given_up() -> None:
    slow = ("+engine.scorer.latency=6.0", "server.grace_seconds=1")
    with started(*slow) as server:
        url = server.wait_for(r"(http://\S+)")
        async with httpx.AsyncClient(
            base_url=url, headers={"Authorization": f"Bearer {KEY}"}, timeout=60
        ) as http:
            task = asyncio.create_task(http.post("/v1/rewards", json=rollouts(1)))
            while True:
                metrics = (await http.get("/metrics")).text
                if "prm_search_rollouts_total 2.0" in metrics:
                    break
                await asyncio.sleep(0.02)
            server.process.send_signal(signal.SIGTERM)
            output = await asyncio.to_thread(server.end)
            answer = await task
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert server.process.returncode == 0, output
    assert "Traceback" not in output
    assert "requests in flight were given up" in output


async def test_a_key_is_made_up_and_printed_and_ctrl_c_ends() -> None:
    with started(key=None) as server:
        url = server.wait_for(r"(http://\S+)")
        key = server.wait_for(r"Key: (\S+)")
        async with httpx.AsyncClient(base_url=url) as http:
            assert (await http.post("/v1/rewards", json=rollouts(1))).status_code == 401
            headers = {"Authorization": f"Bearer {key}"}
            answer = await http.post("/v1/rewards", json=rollouts(1), headers=headers)
            assert answer.status_code == 200
        server.process.send_signal(signal.SIGINT)
        output = server.end()
    assert server.process.returncode == 0, output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("server.host=0.0.0.0", KEY_VARIABLE),
        ("server.host=not.an.address.invalid", "cannot listen at"),
        ("server.max_rollouts=5000", "would never fit"),
        ("server.max_rollouts=20000", "at most 16384"),
        ("server.grace_seconds=0", "server.grace_seconds must be above 0"),
        ("reward=answer", "add a PRM or a judge"),
        ("reward=judge", "this engine cannot run a judge"),
        ("credit=sum_outcome", "allow_hacking=true"),
        ("server.prt=3", "did you mean 'server.port'"),
    ],
)
def test_what_cannot_work_is_refused_at_the_start(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    setting: str,
    message: str,
) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    if "invalid" in setting:
        monkeypatch.setenv(KEY_VARIABLE, KEY)
    assert main([*SETTINGS, setting]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_the_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve-reward", "--help"]) == 0
    text = capsys.readouterr().out
    assert "prm-search serve-reward prm=sandbox" in text
    assert "server.needs_key: bool = true" in text
    assert "prm_judge_and_answer" in text
    assert "process_grpo" in text
