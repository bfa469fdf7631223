"""What a run has found: the numbers, a table for the terminal, and a page to look into."""

from __future__ import annotations

from prm_search.reporting.annotators import Annotate
from prm_search.reporting.html import write_report
from prm_search.reporting.run import Outcome, Run, read_run
from prm_search.reporting.summary import (
    LevelSummary,
    MethodSummary,
    summarize,
    summarize_levels,
)
from prm_search.reporting.table import table

__all__ = [
    "Annotate",
    "LevelSummary",
    "MethodSummary",
    "Outcome",
    "Run",
    "read_run",
    "summarize",
    "summarize_levels",
    "table",
    "write_report",
]
