"""How an OpenAI-compatible server is reached."""

from __future__ import annotations

from dataclasses import dataclass

from prm_search.model_settings import require


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenAIOptions:
    """A server and how it is treated. The key is never written anywhere."""

    base_url: str = "http://localhost:8000/v1"
    """Address of the server, up to and including its /v1."""
    served_model: str | None = None
    """The model's name at the server; None means the name in the policy or judge."""
    api_key_variable: str = "OPENAI_API_KEY"
    """Environment variable that holds the key, where the engine runs. May be unset if the server
    wants none."""
    timeout: float = 600.0
    """Seconds until a request is given up."""
    max_retries: int = 4
    """How often a request is repeated after the server was busy, failed or could not be reached,
    with longer and longer breaks."""
    max_concurrency: int = 64
    """Requests at the same time, at least 1; further ones wait here."""

    def __post_init__(self) -> None:
        require(
            self.base_url.startswith(("http://", "https://")),
            "options.base_url",
            self.base_url,
            "must start with http:// or https://",
        )
        require(bool(self.api_key_variable), "options.api_key_variable", "", "must not be empty")
        require(self.timeout > 0, "options.timeout", self.timeout, "must be above 0")
        require(
            self.max_retries >= 0, "options.max_retries", self.max_retries, "must be at least 0"
        )
        require(
            self.max_concurrency >= 1,
            "options.max_concurrency",
            self.max_concurrency,
            "must be at least 1",
        )
