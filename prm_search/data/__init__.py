"""Loaders of problems in the formats of the field."""

from __future__ import annotations

from prm_search.data.gsm8k import Gsm8k
from prm_search.data.loaded import Loaded, ProblemLoader, SetAside
from prm_search.data.math500 import Math500
from prm_search.data.rows import Rows

__all__ = ["Gsm8k", "Loaded", "Math500", "ProblemLoader", "Rows", "SetAside"]
