"""The settings of a judge: which model, how it is asked for a critique, how it samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from prm_search.judging.processbench import ProcessBenchCritique
from prm_search.model_settings import check_model, check_sampling
from prm_search.types import Failure, Verdict


class CritiqueTemplate(Protocol):
    """How a judge is asked, and how its critique is read."""

    def render(self, prompt: str, steps: Sequence[str]) -> str:
        """The message to the judge.

        Args:
            prompt: the problem.
            steps: texts of the steps, at least one.
        """
        ...

    def parse(self, critique: str, num_steps: int) -> Verdict | Failure:
        """The verdict in a critique, or why there is none."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgeModel:
    """A language model that looks for the first wrong step."""

    model: str
    """A folder, or a name on the Hugging Face Hub."""
    template: CritiqueTemplate = field(default_factory=ProcessBenchCritique)
    """How it is asked, and how its critique is read."""
    system_prompt: str | None = None
    """None leaves the system prompt to the chat template."""
    temperature: float = 0.0
    """In [0, 2]; 0 means greedy, and then all votes are one and the same."""
    top_p: float = 1.0
    """Sample from the likeliest tokens that together have this probability, in (0, 1]."""
    top_k: int | None = None
    """Sample from this many of the likeliest tokens; None means all."""
    max_tokens: int = 4096
    """Longest critique. One that is cut off counts as a failure, never as a verdict."""
    max_model_len: int | None = None
    """Context, in tokens; None means the model's own."""
    dtype: str = "auto"
    """auto, bfloat16, float16 or float32."""

    def __post_init__(self) -> None:
        check_model("judge", model=self.model, max_model_len=self.max_model_len, dtype=self.dtype)
        check_sampling(
            "judge",
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            max_tokens=self.max_tokens,
        )
