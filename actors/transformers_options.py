"""The settings of the transformers engine, without importing it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from prm_search.model_settings import require


@dataclass(frozen=True, kw_only=True, slots=True)
class TransformersOptions:
    """How transformers runs a model."""

    device: str = "auto"
    """auto, cpu, cuda or cuda:N; auto takes a CUDA device if there is one."""
    max_num_seqs: int = 64
    """Sequences computed at the same time."""
    max_batch_tokens: int = 16384
    """Prompt tokens computed in one forward, padding included; a longer prompt goes alone."""
    reuse_prefixes: bool = True
    """Whether a PRM keeps scores, keys and values of prefixes; otherwise it computes every
    solution from its beginning, as it does where attention has a window."""
    prefix_cache_gib: float = 4.0
    """Memory of the model's device for keys and values that a PRM keeps."""

    def __post_init__(self) -> None:
        for name in ("max_num_seqs", "max_batch_tokens"):
            value = getattr(self, name)
            require(value >= 1, f"options.{name}", value, "must be at least 1")
        require(
            self.prefix_cache_gib > 0,
            "options.prefix_cache_gib",
            self.prefix_cache_gib,
            "must be above 0; reuse_prefixes=false keeps nothing",
        )
        require(
            re.fullmatch(r"auto|cpu|cuda(:\d+)?", self.device) is not None,
            "options.device",
            self.device,
            "must be auto, cpu, cuda or cuda:N",
        )
