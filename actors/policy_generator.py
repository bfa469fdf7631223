"""A policy over any engine that samples text: tokens in, tokens out."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import replace
from functools import lru_cache, partial

from actors.completion import Completion, CompletionEngine, Sampling, shared_prompt_usage
from actors.prompting import decode_pieces, load_tokenizer, prefix_tokens
from actors.weight_gate import WeightGate
from prm_search.concurrency import gather_all
from prm_search.policy import Policy
from prm_search.protocols import Until
from prm_search.seeds import derive_seed
from prm_search.steps import segment
from prm_search.tokens import question_tokens
from prm_search.types import Generation, Step, StopReason, Trajectory, Usage


class PolicyGenerator(ABC):
    """A generator. Each engine has a subclass that starts it."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._weights = WeightGate()

    async def start(self) -> None:
        """Load the model.

        Raises:
            EngineError: if it cannot be loaded.
        """
        policy = self._policy
        self._engine = await self._start_engine()
        self._tokenizer = load_tokenizer(policy.model)
        self._question = lru_cache(maxsize=4096)(
            partial(
                question_tokens,
                self._tokenizer,
                system_prompt=policy.system_prompt,
                prompt_template=policy.prompt_template,
            )
        )

    @abstractmethod
    async def _start_engine(self) -> CompletionEngine: ...

    async def reset_cache(self) -> None:
        """Forget all prefixes; see `actors.engine.Engine`."""
        await self._engine.reset_cache()

    async def update_weights(self, folder: str, version: int) -> None:
        """Put other weights in the place of the model's, and forget what the old ones computed.

        Requests in progress are finished first, and later ones wait, so that each sample comes
        from one set of weights. Nothing happens if the engine has this version already.

        Args:
            folder: with a model of the same kind as safetensors, where the engine runs.
            version: of these weights, above 0; every generation names the one it came from.

        Raises:
            EngineError: if they cannot be loaded. The engine must not be used further then.
        """
        if self._weights.version == version:
            return
        async with self._weights.changing():
            if self._weights.version != version:
                await self._engine.load_weights(folder)
                self._weights.version = version

    async def restore_weights(self) -> None:
        """Go back to the weights that the engine started with: version 0."""
        await self.update_weights(self._policy.model, 0)

    async def close(self) -> None:
        """End the engine."""
        await self._engine.close()

    async def generate(
        self,
        prefix: Trajectory,
        *,
        num_samples: int,
        until: Until,
        seed: int,
        temperature: float | None = None,
    ) -> Generation:
        """Draw continuations of a prefix.

        Whatever would make a solution longer than the policy's `max_tokens`, or than the
        context, is cut off with StopReason.LENGTH. A sample that begins with nothing but a
        separator is drawn on, so that a step that can be continued always has content.

        Raises:
            ContextLengthError: if the prefix does not fit into the context.
            EngineError: if the engine failed.
            ValueError: if the prefix has ended.
        """
        if prefix.is_finished:
            raise ValueError(f"the trajectory of problem {prefix.problem.id!r} has ended")
        async with self._weights.using() as version:
            generation = await self._generate(prefix, num_samples, until, seed, temperature)
        return replace(generation, policy_version=version)

    async def _generate(
        self,
        prefix: Trajectory,
        num_samples: int,
        until: Until,
        seed: int,
        temperature: float | None,
    ) -> Generation:
        started = time.perf_counter()
        policy = self._policy
        steps = prefix_tokens(self._tokenizer, prefix)
        prompt = (*self._question(prefix.problem.prompt), *steps)
        room = policy.max_tokens - len(steps)
        if room < 1:
            cut_off = Step(text="", stop_reason=StopReason.LENGTH)
            return Generation(continuations=((cut_off,),) * num_samples, usage=Usage())
        by_step = until is Until.STEP
        sampling = Sampling(
            max_tokens=min(room, policy.max_step_tokens) if by_step else room,
            temperature=policy.temperature if temperature is None else temperature,
            top_p=policy.top_p,
            top_k=policy.top_k,
            stop=policy.step_separator if by_step else None,
            logprobs=policy.logprobs,
        )
        # Greedy samples are all the same one.
        num_drawn = num_samples if sampling.temperature > 0 else 1
        samples = await gather_all(
            self._sample(prompt, replace(sampling, seed=derive_seed(seed, index)))
            for index in range(num_drawn)
        )
        continuations = tuple(steps for steps, _ in samples)
        usage = shared_prompt_usage([part for _, parts in samples for part in parts])
        return Generation(
            continuations=continuations * (num_samples // num_drawn),
            usage=replace(usage, num_calls=1, seconds=time.perf_counter() - started),
        )

    async def _sample(
        self, prompt: tuple[int, ...], sampling: Sampling
    ) -> tuple[tuple[Step, ...], list[Completion]]:
        parts: list[Completion] = []
        token_ids: tuple[int, ...] = ()
        logprobs: tuple[float, ...] = ()
        while True:
            part = await self._engine.complete(
                (*prompt, *token_ids),
                replace(sampling, max_tokens=sampling.max_tokens - len(token_ids)),
            )
            parts.append(part)
            token_ids += part.token_ids
            logprobs += part.logprobs
            steps = segment(
                token_ids,
                decode_pieces(self._tokenizer, prompt, token_ids),
                logprobs=logprobs,
                separator=self._policy.step_separator,
                stop_reason=part.stop_reason,
            )
            is_blank = part.stop_reason is StopReason.STEP and not steps[-1].content
            if not is_blank or len(token_ids) >= sampling.max_tokens:
                return steps, parts
