"""The settings of a policy: which model, how it is asked, how it samples."""

from __future__ import annotations

from dataclasses import dataclass

from prm_search.model_settings import check_model, check_sampling, require


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """A policy model and how it samples."""

    model: str
    """A folder, or a name on the Hugging Face Hub."""
    system_prompt: str | None = None
    """None leaves the system prompt to the chat template."""
    prompt_template: str | None = None
    """For models without a chat template: a text with {problem} in it. Replaces the template."""
    step_separator: str = "\n\n"
    """Ends a step."""
    temperature: float = 1.0
    """In [0, 2]; 0 means greedy."""
    top_p: float = 1.0
    """Sample from the likeliest tokens that together have this probability, in (0, 1]."""
    top_k: int | None = None
    """Sample from this many of the likeliest tokens; None means all."""
    max_step_tokens: int = 512
    """Longest step, when generating step by step."""
    max_tokens: int = 2048
    """Longest solution."""
    max_model_len: int | None = None
    """Context, in tokens; None means the model's own."""
    dtype: str = "auto"
    """auto, bfloat16, float16 or float32."""
    logprobs: bool = True
    """Whether each token's log probability (at temperature 1, before top_p and top_k) is kept."""

    def __post_init__(self) -> None:
        check_model("policy", model=self.model, max_model_len=self.max_model_len, dtype=self.dtype)
        check_sampling(
            "policy",
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            max_tokens=self.max_tokens,
        )
        template = self.prompt_template
        require(
            template is None or "{problem}" in template,
            "policy.prompt_template",
            template,
            "must contain {problem}",
        )
        require(
            template is None or self.system_prompt is None,
            "policy.system_prompt",
            self.system_prompt,
            "must be null beside a prompt_template, which has no place for it",
        )
        require(bool(self.step_separator), "policy.step_separator", "", "must not be empty")
        steps = self.max_step_tokens
        require(steps >= 1, "policy.max_step_tokens", steps, "must be at least 1")
