"""A judge served by vLLM."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

from actors.prompting import load_tokenizer
from actors.vllm_engine import Completion, Sampling, VllmEngine, VllmOptions
from actors.vllm_generator import shared_prompt_usage
from prm_search.errors import ContextLengthError, JudgeError
from prm_search.judging.judge import JudgeModel
from prm_search.seeds import derive_seed
from prm_search.tokens import question_tokens
from prm_search.types import Failure, Judgement, StopReason, Trajectory, Usage, Verdict


class VllmJudge:
    """A judge."""

    def __init__(self, *, judge: JudgeModel, options: VllmOptions | None = None) -> None:
        self._judge = judge
        self._options = options or VllmOptions()

    async def start(self) -> None:
        """Load the model.

        Raises:
            EngineError: if it cannot be loaded.
        """
        self._engine = await VllmEngine.start(
            self._judge.model,
            is_pooling=False,
            dtype=self._judge.dtype,
            max_model_len=self._judge.max_model_len,
            options=self._options,
        )
        self._tokenizer = load_tokenizer(self._judge.model)

    async def close(self) -> None:
        """End the engine."""
        await self._engine.close()

    async def judge(self, trajectory: Trajectory, *, num_votes: int, seed: int) -> Judgement:
        """Obtain verdicts on a trajectory with at least one step.

        Raises:
            EngineError: if the engine failed. A critique that cannot be read, or that the
                context has no room for, gives a Failure in its place instead.
        """
        started = time.perf_counter()
        judge = self._judge
        message = judge.template.render(
            trajectory.problem.prompt, [step.content for step in trajectory.steps]
        )
        prompt = question_tokens(self._tokenizer, message, system_prompt=judge.system_prompt)
        sampling = Sampling(
            max_tokens=judge.max_tokens,
            temperature=judge.temperature,
            top_p=judge.top_p,
            top_k=judge.top_k,
        )
        # Greedy critiques are all the same one.
        num_drawn = num_votes if judge.temperature > 0 else 1
        try:
            critiques = await asyncio.gather(
                *(
                    self._engine.complete(prompt, replace(sampling, seed=derive_seed(seed, index)))
                    for index in range(num_drawn)
                )
            )
        except ContextLengthError as error:
            return Judgement(verdicts=(Failure.of(error),) * num_votes, usage=Usage())
        verdicts = tuple(self._read(critique, len(trajectory.steps)) for critique in critiques)
        return Judgement(
            verdicts=verdicts * (num_votes // num_drawn),
            usage=replace(
                shared_prompt_usage(critiques),
                num_calls=1,
                seconds=time.perf_counter() - started,
            ),
        )

    def _read(self, critique: Completion, num_steps: int) -> Verdict | Failure:
        text = self._tokenizer.decode(list(critique.token_ids), skip_special_tokens=True)
        if critique.stop_reason is StopReason.LENGTH:
            num_tokens = len(critique.token_ids)
            return Failure.of(JudgeError(f"the critique was cut off after {num_tokens} tokens"))
        return self._judge.template.parse(str(text), num_steps)
