"""A judge behind an OpenAI-compatible server."""

from __future__ import annotations

import time
from collections.abc import Sequence

from openai.types import CompletionUsage
from openai.types.chat import ChatCompletion, ChatCompletionMessageParam

from actors.openai_client import OpenAIClient, PromptTooLongError
from actors.openai_completions import UNCHANGED
from actors.openai_options import OpenAIOptions
from prm_search.concurrency import gather_all
from prm_search.errors import EngineError, JudgeError
from prm_search.judging.judge import JudgeModel
from prm_search.model_settings import require
from prm_search.seeds import derive_seed
from prm_search.types import Failure, Judgement, Trajectory, Usage, Verdict


class OpenAIJudge:
    """A judge that is asked by chat. The server applies the chat template."""

    def __init__(self, *, judge: JudgeModel, options: OpenAIOptions | None = None) -> None:
        require(judge.dtype == "auto", "judge.dtype", judge.dtype, "is up to the server: auto")
        require(
            judge.max_model_len is None,
            "judge.max_model_len",
            judge.max_model_len,
            "is up to the server: null",
        )
        self._judge = judge
        self._options = options or OpenAIOptions()

    async def start(self) -> None:
        """Connect to the server.

        Raises:
            ConfigurationError: if the server refuses the key or does not have the model.
            EngineError: if the server cannot be reached.
        """
        self._client = await OpenAIClient.start(self._judge.model, self._options)

    async def reset_cache(self) -> None:
        """Nothing: the cache is the server's, and what it saves is in the account."""

    async def close(self) -> None:
        """Close the connections. The server goes on."""
        await self._client.close()

    async def judge(self, trajectory: Trajectory, *, num_votes: int, seed: int) -> Judgement:
        """Obtain verdicts on a trajectory with at least one step.

        Raises:
            ConfigurationError: if the server refuses the key.
            EngineError: if the server failed. A critique that cannot be read, or that the
                context has no room for, gives a Failure in its place instead.
        """
        started = time.perf_counter()
        message = self._judge.template.render(
            trajectory.problem.prompt, [step.content for step in trajectory.steps]
        )
        # Greedy critiques are all the same one.
        num_drawn = num_votes if self._judge.temperature > 0 else 1
        try:
            critiques = await gather_all(
                self._ask(message, derive_seed(seed, index)) for index in range(num_drawn)
            )
        except PromptTooLongError as error:
            return Judgement(verdicts=(Failure.of(error),) * num_votes, usage=Usage())
        verdicts = tuple(self._read(critique, len(trajectory.steps)) for critique in critiques)
        usage = _shared_prompt_usage([critique.usage for critique in critiques if critique.usage])
        seconds = time.perf_counter() - started
        return Judgement(
            verdicts=verdicts * (num_votes // num_drawn),
            usage=usage + Usage(num_calls=1, seconds=seconds),
        )

    async def _ask(self, message: str, seed: int) -> ChatCompletion:
        judge, client = self._judge, self._client
        messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": message}]
        if judge.system_prompt is not None:
            messages.insert(0, {"role": "system", "content": judge.system_prompt})
        further: dict[str, object] = {"top_k": judge.top_k or 0, **UNCHANGED}
        if not client.is_vllm:
            further = {} if judge.top_k is None else {"top_k": judge.top_k}
        async with client.request():
            critique = await client.api.chat.completions.create(
                model=client.model,
                messages=messages,
                max_tokens=judge.max_tokens,
                temperature=judge.temperature,
                top_p=judge.top_p,
                seed=seed,
                extra_body=further,
            )
        if not critique.choices:
            raise EngineError(f"the server gave no critique of {client.model!r}")
        if critique.usage is None:
            raise EngineError(f"the server of {client.model!r} does not say what a critique cost")
        return critique

    def _read(self, critique: ChatCompletion, num_steps: int) -> Verdict | Failure:
        choice = critique.choices[0]
        if choice.finish_reason == "length":
            spent = critique.usage.completion_tokens if critique.usage else self._judge.max_tokens
            return Failure.of(JudgeError(f"the critique was cut off after {spent} tokens"))
        if choice.finish_reason != "stop":
            return Failure.of(
                JudgeError(f"the server ended the critique: finish reason {choice.finish_reason}")
            )
        return self._judge.template.parse(choice.message.content or "", num_steps)


def _shared_prompt_usage(usages: Sequence[CompletionUsage]) -> Usage:
    """What critiques of one prompt cost: it counts once, and again what was computed again.

    A server that reports no cached tokens counts as one that computes every prompt in full.
    """
    cached = [
        (usage.prompt_tokens_details.cached_tokens or 0) if usage.prompt_tokens_details else 0
        for usage in usages
    ]
    computed = sum(usage.prompt_tokens for usage in usages) - sum(cached)
    return Usage(
        prompt_tokens=min(cached) + computed,
        cached_tokens=min(cached),
        generated_tokens=sum(usage.completion_tokens for usage in usages),
    )
