"""Search algorithms: one file each, over the protocols alone."""

from __future__ import annotations

from prm_search.search.beam import BeamSearch
from prm_search.search.best_of_n import BestOfN
from prm_search.search.dvts import DVTS
from prm_search.search.step_greedy import StepGreedy

__all__ = ["DVTS", "BeamSearch", "BestOfN", "StepGreedy"]
