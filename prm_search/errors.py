"""One error type per boundary that the system crosses.

Every error can be pickled with its fields (Ray sends errors between processes), names what
went wrong and where, and says what to do about it.
"""

from __future__ import annotations


class PrmSearchError(Exception):
    """Base of every error raised on purpose by this project."""


class ConfigurationError(PrmSearchError, ValueError):
    """A setting is impossible, misspelt or of the wrong type."""


class DataError(PrmSearchError, ValueError):
    """A data file or a row in it cannot be used."""


class EmptyStepError(PrmSearchError, ValueError):
    """A step without content where content is needed."""


class EngineError(PrmSearchError, RuntimeError):
    """An engine failed, died or could not be started."""


class ContextLengthError(EngineError):
    """A prompt does not fit into the context of the model. Nothing was truncated."""

    def __init__(self, num_tokens: int, max_tokens: int, what: str = "prompt") -> None:
        super().__init__(num_tokens, max_tokens, what)
        self.num_tokens = num_tokens
        self.max_tokens = max_tokens
        self.what = what

    def __str__(self) -> str:
        return (
            f"the {self.what} has {self.num_tokens} tokens but the model takes at most "
            f"{self.max_tokens}; shorten it or raise max_model_len"
        )


class ScoringError(PrmSearchError, RuntimeError):
    """A trajectory could not be scored. Never turned into a score."""


class JudgeError(PrmSearchError, RuntimeError):
    """A critique could not be obtained or read. Never turned into a verdict."""


class GradingError(PrmSearchError, RuntimeError):
    """An answer cannot be graded. Never turned into right or wrong."""


class StoreError(PrmSearchError, RuntimeError):
    """A run directory cannot be written, or belongs to another configuration."""


class TrainingError(PrmSearchError, RuntimeError):
    """A training cannot go on. Its last checkpoint is kept."""
