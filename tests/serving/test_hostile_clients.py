from __future__ import annotations

import asyncio
import base64
import json

import httpx
import pytest

from prm_search.concurrency import gather_all
from prm_search.errors import ConfigurationError
from prm_search.plugins.reading import Reading
from prm_search.rewards import MicroBatching
from prm_search.serving.settings import KEY_VARIABLE, MAX_ITEMS, ServerSettings, choose_key
from tests.serving.clients import KEY, PROBLEM, body, client, slow_service

SMALL = ServerSettings(max_body_mib=0.05, max_rollouts=4, max_characters=1000)

MALFORMED = {
    "no JSON": b"{rollouts:",
    "nothing": b"",
    "a list": b"[]",
    "no UTF-8": b'{"rollouts": "\xff"}',
    "deep": b"[" * 20_000 + b"]" * 20_000,
    "deep within": b'{"rollouts": ' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    "NaN": b'{"rollouts": [{"problem": "p", "completion": "c", "answer": NaN}]}',
    "infinity": b'{"rollouts": [{"problem": "p", "completion": "c", "answer": 1e999}]}',
    "long number": b'{"rollouts": [{"problem": "p", "completion": "c", "answer": '
    + b"9" * 10_000
    + b"}]}",
    "surrogate": b'{"rollouts": [{"problem": "p", "completion": "\\ud800"}]}',
}


@pytest.mark.parametrize("content", MALFORMED.values(), ids=MALFORMED.keys())
async def test_a_malformed_body_is_refused_and_harms_nobody(content: bytes) -> None:
    async with client(settings=SMALL) as http:
        for path in ("/v1/rewards", "/get_reward", "/slime", "/slime/steps"):
            refused = await http.post(
                path, content=content, headers={"Content-Type": "application/json"}
            )
            assert 400 <= refused.status_code < 500, refused.text
            assert len(refused.content) < 20_000
        assert (await http.post("/v1/rewards", json={"rollouts": [body()]})).status_code == 200


async def test_a_list_is_not_read_beyond_its_first_wrong_item() -> None:
    async with client() as http:
        refused = await http.post("/v1/rewards", json={"rollouts": [{}] * 100_000})
        fields = {one["field"] for one in refused.json()["detail"]}
        assert refused.status_code == 422
        assert fields == {"rollouts.0.problem"}
        long = await http.post("/v1/rewards", json={"rollouts": [body("c")] * (MAX_ITEMS + 1)})
        assert long.status_code == 422
        assert [one["field"] for one in long.json()["detail"]] == ["rollouts"]


async def test_a_query_without_a_prompt_is_refused() -> None:
    async with client() as http:
        refused = await http.post("/get_reward", json={"query": ["x"], "prompts": [""]})
    assert refused.status_code == 422
    assert refused.json()["detail"] == [
        {"field": "query.0", "message": "the prompt holds no problem"}
    ]


@pytest.mark.parametrize("prompt", ["x" * 2000, [{"role": "user", "content": "x" * 2000}]])
async def test_a_long_prompt_is_refused_before_it_is_searched(prompt: object) -> None:
    async with client(settings=SMALL, reading=Reading(problem_pattern="y(.*?)z")) as http:
        refused = await http.post("/slime", json={"prompt": prompt, "response": "r"})
    assert refused.status_code == 413
    assert "prompt has 2000 characters" in refused.text


async def test_no_body_of_a_probe_without_the_key_is_read() -> None:
    async with client(key=KEY, sends_key=False, settings=SMALL) as http:
        probed = await http.request("GET", "/health", content=b"x" * 1_000_000)
    assert probed.status_code == 200


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"rollouts": 3}, "rollouts"),
        ({"rollouts": []}, "rollouts"),
        ({"rollouts": [3]}, "rollouts.0"),
        ({"rollouts": [{"completion": "c"}]}, "rollouts.0.problem"),
        ({"rollouts": [body(completion=3)]}, "rollouts.0.completion"),  # type: ignore[arg-type]
        ({"rollouts": [body(), body(anser="12")]}, "rollouts.1.anser"),
        ({"rollouts": [body(is_truncated="yes")]}, "rollouts.0.is_truncated"),
        ({"rollouts": [body(steps=["a"])]}, "rollouts.0"),
        ({"rollouts": [{"problem": PROBLEM, "steps": ["a", " "]}]}, "rollouts.0"),
        ({"rollouts": [{"problem": " ", "completion": "c"}]}, "rollouts.0"),
    ],
)
async def test_the_field_that_is_wrong_is_named(wrong: dict[str, object], field: str) -> None:
    async with client() as http:
        refused = await http.post("/v1/rewards", json=wrong)
    assert refused.status_code == 422
    assert refused.json()["detail"][0]["field"] == field


async def test_what_is_too_large_is_refused() -> None:
    async with client(settings=SMALL) as http:
        large = await http.post("/v1/rewards", json={"rollouts": [body("x" * 100_000)]})
        long = await http.post("/v1/rewards", json={"rollouts": [body("x" * 2_000)]})
        many = await http.post("/v1/rewards", json={"rollouts": [body()] * 5})
    assert [answer.status_code for answer in (large, long, many)] == [413, 413, 413]
    assert "rollouts.0.completion has 2000 characters" in long.text
    assert "at most 4" in many.text


async def test_a_body_without_a_length_is_refused_once_it_is_too_large() -> None:
    sent = 0

    async def endless():
        nonlocal sent
        while True:
            sent += 1
            yield b"x" * 10_000

    async with client(settings=SMALL) as http:
        answer = await http.post("/v1/rewards", content=endless())
    assert answer.status_code == 413
    assert sent < 10


async def test_only_who_knows_the_key_is_answered() -> None:
    request = {"rollouts": [body()]}
    encoded = base64.b64encode(f":{KEY}".encode()).decode()
    wrong = ["", "Bearer", "Bearer other", f"Bearer {KEY}x", f"Digest {KEY}", "Basic §", "Basic x"]
    async with client(key=KEY, sends_key=False) as http:
        for header in wrong:
            headers = {"Authorization": header.encode()}
            refused = await http.post("/v1/rewards", json=request, headers=headers)  # type: ignore[arg-type]
            assert refused.status_code == 401, header
        assert (await http.get("/metrics")).status_code == 401
        assert (await http.get("/docs")).status_code == 401
        assert (await http.get("/health")).status_code == 200
        for header in (f"Bearer {KEY}", f"bearer {KEY}", f"Basic {encoded}"):
            headers = {"Authorization": header}
            assert (await http.post("/v1/rewards", json=request, headers=headers)).is_success
        in_url = await http.post(f"http://:{KEY}@server/v1/rewards", json=request)
        assert in_url.is_success


async def test_a_body_is_not_read_before_the_key_is_known() -> None:
    async def unread():
        pytest.fail("the body was read")
        yield b""

    async with client(key=KEY, sends_key=False) as http:
        assert (await http.post("/v1/rewards", content=unread())).status_code == 401


async def test_a_full_queue_answers_429_and_then_takes_requests_again() -> None:
    service, source = slow_service(MicroBatching(max_queue=4, max_wait_seconds=0.0))
    async with client(service) as http:

        async def ask(index: int) -> httpx.Response:
            return await http.post("/v1/rewards", json={"rollouts": [body(f"Step {index}.")]})

        held = [asyncio.create_task(ask(index)) for index in range(4)]
        await asyncio.sleep(0.05)
        refused = await ask(4)
        assert refused.status_code == 429
        assert int(refused.headers["Retry-After"]) >= 1
        health = await http.get("/health")
        assert health.status_code == 200
        source.gate.set()
        assert [(await task).status_code for task in held] == [200] * 4
        assert (await ask(4)).status_code == 200


async def test_an_engine_that_hangs_is_a_504_and_its_reward_is_there_later() -> None:
    service, source = slow_service()
    async with client(service, settings=ServerSettings(max_seconds=0.05)) as http:
        late = await http.post("/v1/rewards", json={"rollouts": [body()]})
        assert late.status_code == 504
        source.gate.set()
        assert (await http.post("/v1/rewards", json={"rollouts": [body()]})).status_code == 200
    assert source.num_calls == 1


async def test_two_hundred_clients_under_overload_lose_nothing() -> None:
    service, source = slow_service(MicroBatching(max_queue=50, max_batch=16))
    source.gate.set()
    num_refused = 0
    async with client(service) as http:

        async def ask(index: int) -> float:
            nonlocal num_refused
            for _ in range(1000):
                item = body(f"Take {index}.\n\nThe answer is \\boxed{{{index}}}.", str(index))
                answer = await http.post("/v1/rewards", json={"rollouts": [item] * 2})
                if answer.status_code != 429:
                    (first, second) = answer.json()["rollouts"]
                    assert first["spans"] == second["spans"]
                    assert first["failures"] == []
                    return first["outcome"]
                num_refused += 1
                await asyncio.sleep(0.01)
            pytest.fail("never taken")

        outcomes = await gather_all(ask(index) for index in range(200))
        metrics = (await http.get("/metrics")).text
    assert outcomes == (1.0,) * 200
    assert f'prm_search_requests_total{{path="/v1/rewards",status="429"}} {num_refused}' in metrics
    assert 'path="/v1/rewards",status="200"} 200.0' in metrics
    assert "prm_search_queue 0.0" in metrics


async def test_made_up_paths_make_no_label_values() -> None:
    async with client() as http:
        for index in range(20):
            assert (await http.get(f"/made-up-{index}")).status_code == 404
        metrics = (await http.get("/metrics")).text
    assert "made-up" not in metrics
    assert 'path="other",status="404"} 20.0' in metrics


def test_a_server_that_others_can_reach_needs_a_key_of_the_environment() -> None:
    public = ServerSettings(host="0.0.0.0")
    with pytest.raises(ConfigurationError, match=KEY_VARIABLE):
        choose_key(public, {})
    key = choose_key(public, {KEY_VARIABLE: "k"})
    assert key is not None
    assert (key.value, key.is_made_up) == ("k", False)
    with pytest.raises(ConfigurationError, match="must need a key"):
        ServerSettings(host="0.0.0.0", needs_key=False)
    with pytest.raises(ConfigurationError, match="printable"):
        choose_key(public, {KEY_VARIABLE: "a key"})


def test_a_local_server_makes_up_a_key_unless_none_is_needed() -> None:
    first, second = (choose_key(ServerSettings(), {}) for _ in range(2))
    assert first is not None
    assert second is not None
    assert first.is_made_up
    assert first.value != second.value
    assert choose_key(ServerSettings(needs_key=False), {}) is None
    assert not ServerSettings(host="example.org").is_local
    assert ServerSettings(host="::1").is_local


@pytest.mark.parametrize("field", ["max_body_mib", "max_seconds", "max_rollouts", "port"])
def test_impossible_settings_are_refused(field: str) -> None:
    with pytest.raises(ConfigurationError, match=field):
        ServerSettings(**json.loads(f'{{"{field}": -1}}'))
