"""Checks that the settings of every model have in common."""

from __future__ import annotations

from prm_search.errors import ConfigurationError

DTYPES = ("auto", "bfloat16", "float16", "float32")


def require(fulfilled: bool, field: str, value: object, rule: str) -> None:
    """Refuse a setting that breaks a rule.

    Raises:
        ConfigurationError: naming the field, the rule and the value, unless fulfilled.
    """
    if not fulfilled:
        raise ConfigurationError(f"{field} {rule}, not {value!r}")


def check_model(role: str, *, model: str, max_model_len: int | None, dtype: str) -> None:
    """Check what says which model runs, and how.

    Args:
        role: where the settings are, as in `role.model`.
        model: a folder or a name on the Hugging Face Hub.
        max_model_len: tokens; None means the model's own.
        dtype: one of `DTYPES`.
    """
    require(bool(model.strip()), f"{role}.model", model, "must be a folder or a model's name")
    require(
        max_model_len is None or max_model_len >= 1,
        f"{role}.max_model_len",
        max_model_len,
        "must be at least 1",
    )
    require(dtype in DTYPES, f"{role}.dtype", dtype, f"must be one of {', '.join(DTYPES)}")


def check_sampling(
    role: str, *, temperature: float, top_p: float, top_k: int | None, max_tokens: int
) -> None:
    """Check how a model samples."""
    require(0 <= temperature <= 2, f"{role}.temperature", temperature, "must be in [0, 2]")
    require(0 < top_p <= 1, f"{role}.top_p", top_p, "must be above 0 and at most 1")
    require(
        top_k is None or top_k >= 1, f"{role}.top_k", top_k, "must be at least 1, or null for all"
    )
    require(max_tokens >= 1, f"{role}.max_tokens", max_tokens, "must be at least 1")
