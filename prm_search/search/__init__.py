"""Search algorithms: one file each, over the protocols alone."""

from __future__ import annotations

from prm_search.search.adaptive_best_of_n import AdaptiveBestOfN
from prm_search.search.adaptive_consistency import AdaptiveConsistency
from prm_search.search.beam import BeamSearch
from prm_search.search.best_of_n import BestOfN
from prm_search.search.dvts import DVTS
from prm_search.search.lookahead_beam import LookaheadBeamSearch
from prm_search.search.mcts import MCTS
from prm_search.search.particle_filter import ParticleFiltering
from prm_search.search.particle_gibbs import ParticleGibbs
from prm_search.search.rebase import Rebase
from prm_search.search.step_greedy import StepGreedy

__all__ = [
    "DVTS",
    "MCTS",
    "AdaptiveBestOfN",
    "AdaptiveConsistency",
    "BeamSearch",
    "BestOfN",
    "LookaheadBeamSearch",
    "ParticleFiltering",
    "ParticleGibbs",
    "Rebase",
    "StepGreedy",
]
