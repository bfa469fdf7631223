"""Trains an R-PRM: four stages, each of which goes on from what the one before has left.

labeled steps -> analyses (teacher) -> SFT -> analyses (the model itself) -> pairs -> DPO
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

from rich.console import Console

from prm_search.bootstrapping.settings import Stage
from prm_search.progress import Silent, display_for
from prm_search.run_session import INTERRUPTED, OK
from trainers.process_state import process_state
from trainers.rprm_job import TrainRPrm
from trainers.rprm_model import quiet
from trainers.rprm_sampling import sample
from trainers.rprm_training import train


def run_stages(job: TrainRPrm, *, config: Mapping[str, object], command: str) -> int:
    """Do the stages of a job, or go on with them.

    Returns:
        0 if all of them came to their end, 130 if one was interrupted.

    Raises:
        PrmSearchError: if one of them cannot be done.
    """
    quiet()
    console = Console(width=None if sys.stdout.isatty() else 120)
    display = display_for(console) if process_state().is_main_process else Silent()
    for stage in Stage:
        if stage not in job.stages:
            continue
        do = train if stage in (Stage.sft, Stage.dpo) else sample
        if do(job, stage, config=config, command=command, display=display) == INTERRUPTED:
            return INTERRUPTED
    return OK
