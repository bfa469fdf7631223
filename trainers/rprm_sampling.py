"""The stages of an R-PRM's training in which a model writes analyses."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from prm_search.bootstrapping.analysis_source import StepAnalyses
from prm_search.bootstrapping.finished import is_finished, read_analyses, read_totals
from prm_search.bootstrapping.labeled_steps import (
    LabeledProblem,
    choose_steps,
    draw_steps,
    group_by_problem,
)
from prm_search.bootstrapping.run import AnalysisRun, run_analyses
from prm_search.bootstrapping.settings import Stage
from prm_search.budget import Role
from prm_search.data.loaded import SetAside
from prm_search.errors import ConfigurationError, DataError
from prm_search.progress import ProgressDisplay
from prm_search.run_session import INTERRUPTED, OK
from trainers.prm_examples import read_labels, target_values
from trainers.prm_settings import Loss
from trainers.process_state import process_state
from trainers.rprm_config import stage_config
from trainers.rprm_job import TrainRPrm


def sample(
    job: TrainRPrm,
    stage: Stage,
    *,
    config: Mapping[str, object],
    command: str,
    display: ProgressDisplay,
) -> int:
    """Have the teacher, or the model itself, analyse labeled steps, or go on with it.

    Returns:
        0 if it came to its end, 130 if it was interrupted.

    Raises:
        PrmSearchError: if it cannot be done.
    """
    directory = job.directory(stage)
    if process_state().num_processes > 1:
        if is_finished(directory):
            return OK
        raise ConfigurationError(
            f"stage {stage} starts engines and cannot be done by several processes; do it first, "
            f"without torchrun: stages=[{stage}]"
        )
    by_teacher = stage is Stage.analyses
    problems, set_aside = _labeled(job) if by_teacher else (_of_teacher(job), [])
    factory = job.engine.teacher if by_teacher else job.engine.generator
    if factory is None:
        raise ConfigurationError(f"stage {stage} needs an engine; configure engine.teacher")
    code = asyncio.run(
        run_analyses(
            AnalysisRun(
                name=str(stage),
                directory=directory,
                factory=factory,
                role=Role.TEACHER if by_teacher else Role.POLICY,
                cluster=job.cluster,
                source=job.analysis if by_teacher else StepAnalyses(family=job.analysis.family),
                num_analyses=(job.bootstrap if by_teacher else job.preferences).num_analyses,
                seed=job.seed,
                max_in_flight=job.max_in_flight,
                max_retries=job.max_retries,
            ),
            problems,
            set_aside=set_aside,
            config=stage_config(config, stage, job),
            command=command,
            display=display,
        )
    )
    if code != INTERRUPTED:
        totals = read_totals(directory)
        display.say(f"{stage}: {totals.num_steps:,} steps analysed, {totals}")
    return code


def _labeled(job: TrainRPrm) -> tuple[Sequence[LabeledProblem], Sequence[SetAside]]:
    solutions, set_aside = read_labels(job.data, Loss.cross_entropy)
    problems = group_by_problem(
        (solution.row, target_values(solution, Loss.cross_entropy, job.data.sources))
        for solution in solutions
    )
    chosen = choose_steps(
        problems, right_steps_per_wrong=job.bootstrap.right_steps_per_wrong, seed=job.seed
    )
    return draw_steps(chosen, job.bootstrap.max_steps, job.seed), set_aside


def _of_teacher(job: TrainRPrm) -> Sequence[LabeledProblem]:
    if not job.model_dir(Stage.sft).is_dir():
        raise DataError(
            f"there is no model in {job.model_dir(Stage.sft)} that could write analyses for "
            f"pairs; do stage {Stage.sft} first"
        )
    problems = [item.problem for item in read_analyses(job.directory(Stage.analyses))]
    return draw_steps(problems, job.preferences.max_steps, job.seed)
