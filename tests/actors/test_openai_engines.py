"""Policy and judge against a server in this process that answers as it is told."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from actors.openai_options import OpenAIOptions
from prm_search.errors import ConfigurationError, ContextLengthError, EngineError
from prm_search.judging.judge import JudgeModel
from prm_search.judging.lessons import LessonsCritique
from prm_search.policy import Policy
from prm_search.protocols import Until
from prm_search.types import Failure, Problem, Step, StopReason, Trajectory, Usage, Verdict

openai = pytest.importorskip("openai")
web = pytest.importorskip("aiohttp.web")
test_utils = pytest.importorskip("aiohttp.test_utils")
pytest.importorskip("transformers")
OpenAIGenerator = pytest.importorskip("actors.openai_generator").OpenAIGenerator
OpenAIJudge = pytest.importorskip("actors.openai_judge").OpenAIJudge

PROBLEM = Problem(id="p", prompt="How many has Ben?")
EMPTY = Trajectory(problem=PROBLEM)
SOLUTION = EMPTY.extend(Step(text="One.\n\n"), Step(text="Two.", stop_reason=StopReason.END))
CRITIQUE = "<analysis_1>no</analysis_1><conclusion>Incorrect</conclusion>"


@dataclass
class Server:
    """Remembers what it was asked."""

    url: str = ""
    cards: list[dict[str, Any]] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    answer: Callable[[dict[str, Any]], Any] = lambda request: {}
    num_failures: int = 0
    """So many requests fail before one succeeds."""
    latency: float = 0.0
    num_active: int = 0
    max_active: int = 0

    async def models(self, request: Any) -> Any:
        self.keys.append(request.headers["Authorization"])
        return web.json_response({"object": "list", "data": self.cards})

    async def create(self, request: Any) -> Any:
        values = await request.json()
        self.requests.append(values)
        self.num_active += 1
        self.max_active = max(self.max_active, self.num_active)
        await asyncio.sleep(self.latency)
        self.num_active -= 1
        if self.num_failures:
            self.num_failures -= 1
            return web.json_response({"error": {"message": "busy"}}, status=503)
        answer = self.answer(values)
        status, body = answer if isinstance(answer, tuple) else (200, answer)
        return web.json_response(body, status=status)


@pytest_asyncio.fixture
async def server():
    server = Server(cards=[{"id": "m", "owned_by": "vllm", "max_model_len": 512}])
    app = web.Application()
    app.router.add_get("/v1/models", server.models)
    app.router.add_post("/v1/completions", server.create)
    app.router.add_post("/v1/chat/completions", server.create)
    async with test_utils.TestServer(app) as running:
        server.url = str(running.make_url("/v1"))
        yield server


def options(server: Server, **settings: Any) -> OpenAIOptions:
    return OpenAIOptions(base_url=server.url, **{"served_model": "m", "max_retries": 2, **settings})


async def started(engine):
    await engine.start()
    return engine


async def judge_of(server: Server, *, settings: Any = None, **judge: Any):
    model = JudgeModel(model="some/judge", template=LessonsCritique(), **judge)
    return await started(OpenAIJudge(judge=model, options=options(server, **(settings or {}))))


def chat(text: str | None, *, finish: str = "stop", cached: int | None = None) -> dict[str, Any]:
    usage: dict[str, Any] = {"prompt_tokens": 50, "completion_tokens": 7, "total_tokens": 57}
    if cached is not None:
        usage["prompt_tokens_details"] = {"cached_tokens": cached}
    message = {"role": "assistant", "content": text}
    return {
        "id": "1",
        "object": "chat.completion",
        "choices": [{"index": 0, "finish_reason": finish, "message": message}],
        "usage": usage,
    }


async def test_a_judge_asks_by_chat_and_reads_the_critique(server, monkeypatch) -> None:
    monkeypatch.setenv("MY_KEY", "secret")
    server.answer = lambda request: chat(CRITIQUE, cached=48)
    judge = await judge_of(
        server,
        settings={"api_key_variable": "MY_KEY"},
        system_prompt="Be strict.",
        temperature=0.5,
        max_tokens=99,
    )
    judgement = await judge.judge(SOLUTION, num_votes=3, seed=1)
    await judge.close()

    assert judgement.verdicts == (Verdict(first_error=0, critique=CRITIQUE),) * 3
    assert server.keys == ["Bearer secret"]
    assert len(server.requests) == 3
    assert len({request["seed"] for request in server.requests}) == 3
    request = server.requests[0]
    assert [message["role"] for message in request["messages"]] == ["system", "user"]
    assert "<paragraph_2>\nTwo.\n</paragraph_2>" in request["messages"][1]["content"]
    assert (request["model"], request["max_tokens"], request["temperature"]) == ("m", 99, 0.5)
    assert (request["top_k"], request["repetition_penalty"]) == (0, 1.0)
    usage = judgement.usage
    assert (usage.prompt_tokens, usage.cached_tokens) == (48 + 3 * 2, 48)
    assert (usage.generated_tokens, usage.num_calls) == (21, 1)


async def test_greedy_votes_are_asked_for_once(server) -> None:
    server.answer = lambda request: chat("<conclusion>Correct</conclusion>")
    judge = await judge_of(server)
    judgement = await judge.judge(SOLUTION, num_votes=4, seed=1)
    await judge.close()
    assert len(server.requests) == 1
    assert [verdict.first_error for verdict in judgement.verdicts] == [None] * 4
    assert judgement.usage.prompt_tokens == 50  # a server that tells no cached tokens has none


async def test_other_servers_get_no_parameters_that_only_vllm_takes(server) -> None:
    server.cards = [{"id": "m", "owned_by": "somebody"}]
    server.answer = lambda request: chat(CRITIQUE)
    judge = await judge_of(server)
    await judge.judge(SOLUTION, num_votes=1, seed=1)
    await judge.close()
    assert server.requests[0].keys() == {
        "model",
        "messages",
        "max_tokens",
        "temperature",
        "top_p",
        "seed",
    }


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (chat("I cannot tell."), "cannot read the critique"),
        (chat(None), "cannot read the critique"),
        (chat(CRITIQUE, finish="length"), "cut off after 7 tokens"),
        (chat(CRITIQUE, finish="content_filter"), "finish reason content_filter"),
        (
            (400, {"error": {"message": "This model's maximum context length is 9 tokens."}}),
            "maximum context length is 9",
        ),
    ],
)
async def test_what_is_no_critique_is_a_failure(server, answer, reason: str) -> None:
    server.answer = lambda request: answer
    judge = await judge_of(server)
    judgement = await judge.judge(SOLUTION, num_votes=2, seed=1)
    await judge.close()
    for verdict in judgement.verdicts:
        assert isinstance(verdict, Failure)
        assert reason in verdict.message


async def test_a_busy_server_is_asked_again(server) -> None:
    server.answer = lambda request: chat(CRITIQUE)
    server.num_failures = 2
    judge = await judge_of(server)
    judgement = await judge.judge(SOLUTION, num_votes=1, seed=1)
    await judge.close()
    assert isinstance(judgement.verdicts[0], Verdict)
    assert len(server.requests) == 3
    assert judgement.usage.generated_tokens == 7


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        ((500, {}), EngineError, "failed"),
        ((400, {"error": {"message": "no such parameter"}}), EngineError, "no such parameter"),
        ((404, {"error": {"message": "gone"}}), EngineError, "does not have .* gone"),
        ((401, {"error": {"message": "bad key"}}), ConfigurationError, r"\$OPENAI_API_KEY"),
        ((200, {**chat(CRITIQUE), "usage": None}), EngineError, "what a critique cost"),
        ((200, {**chat(CRITIQUE), "choices": []}), EngineError, "no critique"),
    ],
)
async def test_a_failure_of_the_server_is_no_verdict(server, answer, error, message) -> None:
    server.answer = lambda request: answer
    judge = await judge_of(server, settings={"max_retries": 0})
    with pytest.raises(error, match=message):
        await judge.judge(SOLUTION, num_votes=1, seed=1)
    await judge.close()


async def test_requests_are_given_up_after_the_timeout(server) -> None:
    server.latency = 2.0
    judge = await judge_of(server, settings={"timeout": 0.2, "max_retries": 0})
    with pytest.raises(EngineError, match="gave no answer in time"):
        await judge.judge(SOLUTION, num_votes=1, seed=1)
    await judge.close()


async def test_no_more_requests_at_a_time_than_allowed(server) -> None:
    server.answer, server.latency = lambda request: chat(CRITIQUE), 0.02
    judge = await judge_of(server, settings={"max_concurrency": 3}, temperature=1.0)
    await asyncio.gather(*(judge.judge(SOLUTION, num_votes=4, seed=i) for i in range(3)))
    await judge.close()
    assert len(server.requests) == 12
    assert server.max_active == 3


async def test_a_server_that_does_not_have_the_model_is_refused(server) -> None:
    with pytest.raises(ConfigurationError, match=r"does not have the model 'x'; it has m \(set"):
        await judge_of(server, settings={"served_model": "x"})
    nowhere = OpenAIOptions(base_url="http://127.0.0.1:9/v1", max_retries=0)
    with pytest.raises(EngineError, match="cannot be reached"):
        await OpenAIJudge(judge=JudgeModel(model="m"), options=nowhere).start()


def test_engines_are_made_without_a_connection_and_can_be_sent() -> None:
    make = partial(OpenAIJudge, judge=JudgeModel(model="m"), options=OpenAIOptions())
    pickle.loads(pickle.dumps(make))()


def test_what_is_up_to_the_server_is_not_ignored_in_silence() -> None:
    with pytest.raises(ConfigurationError, match=r"judge\.dtype"):
        OpenAIJudge(judge=JudgeModel(model="m", dtype="float16"))
    with pytest.raises(ConfigurationError, match=r"judge\.max_model_len"):
        OpenAIJudge(judge=JudgeModel(model="m", max_model_len=9))
    with pytest.raises(ConfigurationError, match=r"policy\.dtype"):
        OpenAIGenerator(policy=Policy(model="m", dtype="float16"))
    with pytest.raises(ConfigurationError, match=r"options\.base_url"):
        OpenAIOptions(base_url="localhost:8000")


async def generator_of(server: Server, tiny_model: Path, **policy: Any):
    settings = Policy(model=str(tiny_model), step_separator="\n\n", **policy)
    return await started(OpenAIGenerator(policy=settings, options=options(server)))


def sampled(generator, text: str, **choice: Any) -> dict[str, Any]:
    token_ids = generator._tokenizer.encode(text)
    return {
        "id": "1",
        "object": "text_completion",
        "choices": [{"index": 0, "text": text, "token_ids": token_ids, "logprobs": None} | choice],
        "usage": {
            "prompt_tokens": 30,
            "completion_tokens": len(token_ids),
            "total_tokens": 30 + len(token_ids),
            "prompt_tokens_details": {"cached_tokens": 16},
        },
    }


async def test_a_policy_sends_and_receives_tokens(server, tiny_model: Path) -> None:
    generator = await generator_of(server, tiny_model, max_step_tokens=20, top_k=5)
    text = "Ben: 12+7=19.\n\n"
    num_tokens = len(generator._tokenizer.encode(text))
    logprobs = {"token_logprobs": [-0.5] * num_tokens}
    server.answer = lambda request: sampled(
        generator, text, finish_reason="stop", stop_reason="\n\n", logprobs=logprobs
    )
    generation = await generator.generate(EMPTY, num_samples=2, until=Until.STEP, seed=3)
    await generator.close()

    (step,), same = generation.continuations
    assert (step,) == same
    assert step.text == text
    assert step.token_ids == tuple(generator._tokenizer.encode(text))
    assert step.logprobs == (-0.5,) * num_tokens
    assert step.stop_reason is StopReason.STEP
    first, second = server.requests
    assert first["prompt"] == list(generator._question(PROBLEM.prompt))
    assert first["seed"] != second["seed"]
    assert (first["stop"], first["max_tokens"], first["top_k"]) == ("\n\n", 20, 5)
    assert first["return_token_ids"] is first["include_stop_str_in_output"] is True
    num_prompt = len(first["prompt"])
    assert generation.usage.cached_tokens == 16
    assert generation.usage.prompt_tokens == 16 + 2 * (num_prompt - 16)
    assert generation.usage.generated_tokens == 2 * num_tokens


@pytest.mark.parametrize(
    ("choice", "stop_reason"),
    [
        ({"finish_reason": "stop", "stop_reason": None}, StopReason.END),
        ({"finish_reason": "stop", "stop_reason": 151645}, StopReason.END),
        ({"finish_reason": "length", "stop_reason": None}, StopReason.LENGTH),
    ],
)
async def test_why_a_sample_ended(server, tiny_model: Path, choice, stop_reason) -> None:
    generator = await generator_of(server, tiny_model)
    server.answer = lambda request: sampled(generator, "The answer is 3.", **choice)
    generation = await generator.generate(EMPTY, num_samples=1, until=Until.END, seed=3)
    await generator.close()
    assert generation.continuations[0][-1].stop_reason is stop_reason


async def test_a_policy_that_gets_no_tokens_is_an_error(server, tiny_model: Path) -> None:
    generator = await generator_of(server, tiny_model)
    for choice, message in (
        ({"token_ids": None, "finish_reason": "stop"}, "returns no token ids"),
        ({"finish_reason": "abort"}, "gave up"),
    ):
        server.answer = lambda request, choice=choice: sampled(generator, "x", **choice)
        with pytest.raises(EngineError, match=message):
            await generator.generate(EMPTY, num_samples=1, until=Until.END, seed=3)
    await generator.close()


async def test_samples_are_cut_to_the_context_of_the_server(server, tiny_model: Path) -> None:
    server.cards[0]["max_model_len"] = 60
    generator = await generator_of(server, tiny_model, max_tokens=500)
    server.answer = lambda request: sampled(generator, "x", finish_reason="length")
    await generator.generate(EMPTY, num_samples=1, until=Until.END, seed=3)
    [request] = server.requests
    assert request["max_tokens"] + len(request["prompt"]) == 60
    long = Trajectory(problem=Problem(id="l", prompt="long " * 100))
    with pytest.raises(ContextLengthError):
        await generator.generate(long, num_samples=1, until=Until.END, seed=3)
    await generator.close()
    assert len(server.requests) == 1


async def test_a_server_that_does_not_say_its_limit_ends_what_is_too_long(
    server, tiny_model: Path
) -> None:
    generator = await generator_of(server, tiny_model)
    message = "This model's maximum context length is 9 tokens."
    server.answer = lambda request: (400, {"error": {"message": message}})
    with pytest.raises(ContextLengthError, match="maximum context length is 9"):
        await generator.generate(EMPTY, num_samples=1, until=Until.END, seed=3)
    await generator.close()


async def test_a_greedy_policy_without_usage_details(server, tiny_model: Path) -> None:
    generator = await generator_of(server, tiny_model)
    answer = sampled(generator, "x", finish_reason="stop")
    answer["usage"].pop("prompt_tokens_details")
    server.answer = lambda request: answer
    generation = await generator.generate(
        EMPTY, num_samples=2, until=Until.END, seed=3, temperature=0
    )
    await generator.close()
    assert len(server.requests) == 1
    assert generation.usage.cached_tokens == 0
    assert isinstance(generation.usage, Usage)
