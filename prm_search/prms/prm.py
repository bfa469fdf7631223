"""The settings of a PRM: which model, and how it is asked."""

from __future__ import annotations

from dataclasses import dataclass, field

from prm_search.model_settings import check_model
from prm_search.prms.family import AnswerFamily, PrmFamily
from prm_search.prms.tagged_head import TaggedHead


@dataclass(frozen=True, kw_only=True, slots=True)
class Prm:
    """A process reward model."""

    model: str
    """A folder, or a name on the Hugging Face Hub."""
    family: PrmFamily | AnswerFamily = field(default_factory=TaggedHead)
    """How it reads steps and says how good they are."""
    system_prompt: str | None = None
    """None leaves the system prompt to the chat template."""
    max_model_len: int | None = None
    """Context, in tokens; None means the model's own."""
    dtype: str = "auto"
    """auto, bfloat16, float16 or float32."""

    def __post_init__(self) -> None:
        check_model("prm", model=self.model, max_model_len=self.max_model_len, dtype=self.dtype)
