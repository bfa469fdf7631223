"""verl loads this while it is imported: the entry point in the group `verl.plugins`."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from prm_search.plugins.verl_advantages import NAME, step_advantages

# Without verl, there is nobody to register with.
if "verl" in sys.modules:
    _algorithms: Any = import_module("verl.trainer.ppo.core_algos")
    _algorithms.register_adv_est(NAME)(step_advantages)
