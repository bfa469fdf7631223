"""The command `prm-search study`, beside what all commands have in common."""

from __future__ import annotations

from omegaconf import DictConfig
from rich.console import Console

from prm_search.building import build_part, plain_config, refuse_unknown, require_complete
from prm_search.command_help import Description
from prm_search.studies.study import Study, StudyJob, run_study

STUDY = Description(
    command="study",
    summary="train and compare several PRMs to answer a question",
    text=(
        "Runs the stages of a study one after another, each in a process of its own: labels, "
        "trainings, samples, evaluations. Writes results.json and report.html, which say of each "
        "finding of a paper whether it holds here. Starting the same run_dir again goes on after "
        "the last finished stage. --quick (quick=true) takes small sizes that decide nothing."
    ),
    examples=(
        (
            "labels from rollouts, a judge and both, on the built-in sandbox",
            "prm-search study experiment=lessons",
        ),
        (
            "R-PRMs by SFT and DPO against a discriminative PRM of the same labels",
            "prm-search study experiment=rprm",
        ),
        ("whether it works at all, in minutes", "prm-search study experiment=lessons --quick"),
        (
            "more thresholds, fewer seeds",
            "prm-search study experiment=lessons 'study.thresholds=[0.25,0.5,0.75]' "
            "study.num_seeds=2",
        ),
    ),
)
QUICK = "--quick"


def study_with(config: DictConfig, command: str, console: Console) -> int:
    """Run the study that a composed configuration describes.

    Raises:
        PrmSearchError: if the configuration is incomplete or impossible, or a stage failed.
    """
    job = study_job(config)
    return run_study(job, config=plain_config(config), command=command, console=console)


def study_job(config: DictConfig) -> StudyJob:
    """The study that a composed configuration describes.

    Raises:
        ConfigurationError: if the configuration is incomplete or impossible.
    """
    refuse_unknown(config, StudyJob)
    require_complete(config, "study", "run_dir")
    study: Study = build_part(config, "study")  # pyright: ignore[reportAssignmentType]
    return StudyJob(
        study=study,
        quick=config.quick,
        num_parallel=config.num_parallel,
        run_dir=config.run_dir,
    )
