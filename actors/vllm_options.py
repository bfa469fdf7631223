"""The settings of vLLM that are ours to give, without importing vLLM."""

from __future__ import annotations

from dataclasses import dataclass

from prm_search.model_settings import require


@dataclass(frozen=True, kw_only=True, slots=True)
class VllmOptions:
    """How vLLM runs a model."""

    tensor_parallel_size: int = 1
    """Devices that share the model."""
    kv_cache_gib: float | None = None
    """Memory for keys and values, in GiB; None means 2 on CPU, and what is left on GPU."""
    gpu_memory_utilization: float = 0.9
    """Share of a GPU's memory that the engine takes, in (0, 1], if kv_cache_gib is None."""
    max_num_seqs: int = 256
    """Sequences computed at the same time."""
    block_size: int | None = None
    """Tokens of a block of the key-value cache; None means 32 on CPU, and vLLM's choice on GPU."""
    num_threads: int | None = None
    """Threads of an engine on CPU; None means $OMP_NUM_THREADS, or else half of the cores."""
    enforce_eager: bool | None = None
    """Whether to start at once instead of compiling the model first; None means only on CPU."""
    reuse_prefixes: bool = True
    """Whether what was computed for a prefix is used again; never changes a result."""
    trust_remote_code: bool = False
    """Whether code that comes with a model may run."""

    def __post_init__(self) -> None:
        counts = {
            "tensor_parallel_size": self.tensor_parallel_size,
            "max_num_seqs": self.max_num_seqs,
            "block_size": self.block_size,
            "num_threads": self.num_threads,
        }
        for name, value in counts.items():
            require(value is None or value >= 1, f"options.{name}", value, "must be at least 1")
        memory, share = self.kv_cache_gib, self.gpu_memory_utilization
        require(memory is None or memory > 0, "options.kv_cache_gib", memory, "must be above 0")
        require(0 < share <= 1, "options.gpu_memory_utilization", share, "must be in (0, 1]")
