"""The settings of a generative PRM: which model, how it is asked, how many analyses it writes."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from prm_search.errors import ConfigurationError
from prm_search.model_settings import check_model, check_sampling, require
from prm_search.prms.generative import GenerativeFamily
from prm_search.prms.rprm import RPrm


class Combination(StrEnum):
    """How the analyses of a step become its score."""

    mean = "mean"
    """The mean of P(right) / (P(right) + P(wrong)) where each of them says its verdict."""
    majority = "majority"
    """The share of them whose verdict is "right"."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GenerativePrm:
    """A PRM that writes an analysis of each step and says its verdict. Defaults are R-PRM's."""

    model: str
    """A folder, or a name on the Hugging Face Hub."""
    family: GenerativeFamily = field(default_factory=RPrm)
    """How it is asked about a step, and how its analysis is read."""
    system_prompt: str | None = None
    """None leaves the system prompt to the chat template."""
    num_samples: int = 10
    """Analyses of each step. The first 8 of 32 are those of num_samples=8."""
    combination: Combination = Combination.mean
    """How the analyses of a step become its score."""
    confidence: float | None = None
    """None draws all analyses. Otherwise no more are drawn once it is this probable that the score
    is on the right side of the threshold (at 0.95, four that agree suffice); 1 stops only where
    the rest could not change that any more."""
    threshold: float = 0.5
    """Steps that score below it count as wrong. Only decides when to stop, if confidence is given;
    scores are then as good as the verdict needs and not better."""
    temperature: float = 0.95
    """In [0, 2]; 0 means greedy, which needs num_samples=1."""
    top_p: float = 0.95
    """Sample from the likeliest tokens that together have this probability, in (0, 1]."""
    top_k: int | None = None
    """Sample from this many of the likeliest tokens; None means all."""
    max_tokens: int = 3072
    """Longest analysis. One that is cut off cannot be read and does not count."""
    seed: int = 0
    """Every analysis is drawn by it, the steps up to the judged one, and its own number."""
    recording: str | None = None
    """A file, on the machine that the model runs on, to which a line is added for each judged step:
    what each of its analyses said, and the tokens that it took. None records nothing."""
    max_model_len: int | None = None
    """Context, in tokens; None means the model's own."""
    dtype: str = "auto"
    """auto, bfloat16, float16 or float32."""

    def __post_init__(self) -> None:
        check_model("prm", model=self.model, max_model_len=self.max_model_len, dtype=self.dtype)
        check_sampling(
            "prm",
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            max_tokens=self.max_tokens,
        )
        require(self.num_samples >= 1, "prm.num_samples", self.num_samples, "must be at least 1")
        if self.temperature == 0 and self.num_samples > 1:
            raise ConfigurationError(
                f"prm.num_samples={self.num_samples}: at prm.temperature=0 all analyses are the "
                "same; give num_samples=1"
            )
        if self.confidence is not None:
            rule = "must be above 0.5 and at most 1, or null"
            require(0.5 < self.confidence <= 1, "prm.confidence", self.confidence, rule)
        require(0 < self.threshold < 1, "prm.threshold", self.threshold, "must be between 0 and 1")
