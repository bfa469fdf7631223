"""Texts with fields in braces, which may hold other braces, as mathematics does."""

from __future__ import annotations

import re

from prm_search.errors import ConfigurationError


def check_fields(template: str, *names: str) -> None:
    """Refuse a template without some of its fields.

    Raises:
        ConfigurationError: naming them.
    """
    missing = [f"{{{name}}}" for name in names if f"{{{name}}}" not in template]
    if missing:
        raise ConfigurationError(f"family.template must contain {' and '.join(missing)}")


def fill(template: str, **texts: str) -> str:
    """The template with a text in the place of each field; texts stay as they are."""
    field = "|".join(map(re.escape, texts))
    return re.sub(rf"\{{({field})\}}", lambda found: texts[found[1]], template)
