"""Policy and judge against a real vLLM server."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from actors.openai_options import OpenAIOptions
from prm_search.judging.judge import JudgeModel
from prm_search.policy import Policy
from prm_search.protocols import Until
from prm_search.types import Failure, Problem, Step, StopReason, Trajectory, Verdict

pytest.importorskip("vllm")
OpenAIGenerator = pytest.importorskip("actors.openai_generator").OpenAIGenerator
OpenAIJudge = pytest.importorskip("actors.openai_judge").OpenAIJudge
TransformersGenerator = pytest.importorskip("actors.transformers_generator").TransformersGenerator

pytestmark = [pytest.mark.slow, pytest.mark.vllm, pytest.mark.timeout(600)]

NAME = "tiny"
EMPTY = Trajectory(problem=Problem(id="p", prompt="Some friends count shells. Ann has 12."))


@pytest.fixture(scope="module")
def server(tiny_model: Path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_LOGGING_LEVEL": "ERROR",
        "VLLM_NO_USAGE_STATS": "1",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
    command += ["--model", str(tiny_model), "--served-model-name", NAME, "--port", str(port)]
    command += ["--host", "127.0.0.1", "--dtype", "float32", "--enforce-eager"]
    command += ["--enable-prompt-tokens-details", "--block-size", "32", "--api-key", "sesame"]
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        _wait_for(f"http://127.0.0.1:{port}/health", process)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(timeout=60)


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        assert process.poll() is None, "the server ended"
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(1)
    raise AssertionError("the server did not start")


@pytest.fixture
def options(server: str, monkeypatch: pytest.MonkeyPatch) -> OpenAIOptions:
    monkeypatch.setenv("OPENAI_API_KEY", "sesame")
    return OpenAIOptions(base_url=server, served_model=NAME)


async def test_greedy_text_is_that_of_transformers(options, tiny_model: Path) -> None:
    remote = OpenAIGenerator(policy=Policy(model=str(tiny_model), max_tokens=60), options=options)
    local = TransformersGenerator(
        policy=Policy(model=str(tiny_model), max_tokens=60, dtype="float32")
    )
    await remote.start()
    await local.start()
    told = {"num_samples": 2, "until": Until.END, "seed": 0, "temperature": 0.0}
    first = await remote.generate(EMPTY, **told)
    second = await local.generate(EMPTY, **told)
    tokens = [
        [token for step in generation.continuations[0] for token in step.token_ids]
        for generation in (first, second)
    ]
    assert tokens[0] == tokens[1]
    assert len(tokens[0]) > 20
    ours, theirs = (
        [value for step in generation.continuations[0] for value in step.logprobs]
        for generation in (first, second)
    )
    assert ours == pytest.approx(theirs, abs=1e-3)
    assert first.usage.generated_tokens == second.usage.generated_tokens
    await remote.close()
    await local.close()


async def test_steps_end_at_the_separator_and_prefixes_are_reused(options, tiny_model) -> None:
    policy = Policy(model=str(tiny_model), step_separator="a", max_step_tokens=60, max_tokens=300)
    generator = OpenAIGenerator(policy=policy, options=options)
    await generator.start()
    reasons = set()
    for seed in range(6):
        drawn = await generator.generate(
            EMPTY, num_samples=3, until=Until.STEP, seed=seed, temperature=2.0
        )
        again = await generator.generate(
            EMPTY, num_samples=3, until=Until.STEP, seed=seed, temperature=2.0
        )
        assert drawn.continuations == again.continuations
        for (step,) in drawn.continuations:
            reasons.add(step.stop_reason)
            if step.stop_reason is StopReason.STEP:
                assert "a" in step.text
    assert StopReason.STEP in reasons
    long = EMPTY.extend(Step(text="Ann has 12 shells. " * 20))
    first = await generator.generate(long, num_samples=1, until=Until.STEP, seed=0)
    second = await generator.generate(long, num_samples=1, until=Until.STEP, seed=1)
    assert first.usage.prompt_tokens == second.usage.prompt_tokens
    assert second.usage.cached_tokens > 32
    await generator.close()


async def test_a_judge_reads_what_the_server_writes(options) -> None:
    judge = OpenAIJudge(
        judge=JudgeModel(model=NAME, temperature=1.0, max_tokens=30), options=options
    )
    await judge.start()
    solution = EMPTY.extend(Step(text="So 12.", stop_reason=StopReason.END))
    judgement = await judge.judge(solution, num_votes=2, seed=0)
    assert len(judgement.verdicts) == 2
    assert all(isinstance(verdict, Verdict | Failure) for verdict in judgement.verdicts)
    assert judgement.usage.prompt_tokens > 50
    assert judgement.usage.generated_tokens > 0
    long = EMPTY.extend(Step(text="many words " * 600, stop_reason=StopReason.END))
    judgement = await judge.judge(long, num_votes=1, seed=0)
    [failure] = judgement.verdicts
    assert isinstance(failure, Failure)
    assert failure.kind == "PromptTooLongError"
    await judge.close()
