"""A judge over any engine that samples text."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import replace

from actors.completion import Completion, CompletionEngine, Sampling, shared_prompt_usage
from actors.prompting import load_tokenizer
from prm_search.concurrency import gather_all
from prm_search.errors import ContextLengthError, JudgeError
from prm_search.judging.judge import JudgeModel
from prm_search.seeds import derive_seed
from prm_search.tokens import question_tokens
from prm_search.types import Failure, Judgement, StopReason, Trajectory, Usage, Verdict


class CritiqueJudge(ABC):
    """A judge. Each engine has a subclass that starts it."""

    def __init__(self, judge: JudgeModel) -> None:
        self._judge = judge

    async def start(self) -> None:
        """Load the model.

        Raises:
            EngineError: if it cannot be loaded.
        """
        self._engine = await self._start_engine()
        self._tokenizer = load_tokenizer(self._judge.model)

    @abstractmethod
    async def _start_engine(self) -> CompletionEngine: ...

    async def reset_cache(self) -> None:
        """Forget all prefixes; see `actors.engine.Engine`."""
        await self._engine.reset_cache()

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
            critiques = await gather_all(
                self._engine.complete(prompt, replace(sampling, seed=derive_seed(seed, index)))
                for index in range(num_drawn)
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
