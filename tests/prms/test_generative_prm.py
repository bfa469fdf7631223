"""Settings of generative PRMs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from prm_search.errors import ConfigurationError
from prm_search.prms.generative_prm import GenerativePrm


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_samples": 0}, "prm.num_samples must be at least 1"),
        ({"temperature": 0.0}, "give num_samples=1"),
        ({"confidence": 0.5}, "prm.confidence must be above 0.5"),
        ({"threshold": 1.0}, "prm.threshold must be between 0 and 1"),
        ({"max_tokens": 0}, "prm.max_tokens"),
        ({"model": " "}, "prm.model"),
    ],
)
def test_impossible_settings_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        replace(GenerativePrm(model="m"), **settings)


def test_one_greedy_analysis_is_possible() -> None:
    assert GenerativePrm(model="m", temperature=0, num_samples=1).temperature == 0
