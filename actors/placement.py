"""Where the replicas of an engine run, and how much each of them takes."""

from __future__ import annotations

from dataclasses import dataclass

from prm_search.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True, slots=True)
class Placement:
    """Replicas of the engine of one role. Each runs in a Ray actor of its own."""

    replicas: int = 1
    """Engines that share the requests of this role."""
    num_cpus: float = 1.0
    """CPU cores reserved for each replica."""
    num_gpus: float = 0.0
    """GPUs reserved for each tensor-parallel rank: 0 on a CPU, below 1 where engines share one."""
    tensor_parallel_size: int = 1
    """Ranks that a model is split over. All ranks of a replica are on the same node."""
    max_queue: int = 512
    """Requests that a replica holds at once, running or waiting. Callers of further ones wait."""
    max_imbalance: int = 32
    """A problem stays on the replica that has its prefix cached unless that one holds more than
    this many requests above the least loaded replica."""
    max_restarts: int = 3
    """How often Ray restarts a replica that crashed; after that it stays dead."""
    max_retries: int = 3
    """How often a request is redone after the replica that held it crashed."""

    def __post_init__(self) -> None:
        for name in ("replicas", "tensor_parallel_size", "max_queue"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("num_cpus", "num_gpus", "max_imbalance", "max_restarts", "max_retries"):
            if getattr(self, name) < 0:
                raise ConfigurationError(f"{name} must be at least 0, not {getattr(self, name)}")
        if self.num_gpus != int(self.num_gpus) and (
            self.num_gpus > 1 or self.tensor_parallel_size > 1
        ):
            raise ConfigurationError(
                f"num_gpus={self.num_gpus} with tensor_parallel_size={self.tensor_parallel_size}: "
                "a rank can have a part of a GPU only if it is the only rank, and never more "
                "than one GPU and a part"
            )

    @property
    def gpus_per_replica(self) -> float:
        """GPUs that all ranks of a replica take together."""
        return self.num_gpus * self.tensor_parallel_size
