"""The command `prm-search evaluate`, beside what all commands have in common."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from prm_search.building import plain_config
from prm_search.command_help import Description
from prm_search.evaluation.job import evaluation_job
from prm_search.evaluation.report import Evaluation, read_evaluation, write_evaluation
from prm_search.evaluation.run import run_evaluation
from prm_search.run_session import INTERRUPTED, OK

EVALUATE = Description(
    command="evaluate",
    summary="measure how well a PRM or a judge finds errors, and chooses answers",
    text=(
        "Asks a PRM (subject=prm) or a judge (subject=judge) about every solution of a benchmark "
        "and writes a run directory with all scores, evaluation.json and a report. Starting the "
        "same run_dir again resumes it. `prm-search evaluate report DIR…` shows finished "
        "evaluations side by side."
    ),
    examples=(
        (
            "a PRM on ProcessBench",
            "prm-search evaluate benchmark=processbench benchmark.path=data/processbench "
            "prm.model=Qwen/Qwen2.5-Math-PRM-7B",
        ),
        (
            "a judge with eight votes",
            "prm-search evaluate benchmark=processbench benchmark.path=data/processbench "
            "subject=judge judge.model=Qwen/QwQ-32B-Preview judge.temperature=1.0 num_votes=8",
        ),
        (
            "best-of-N and its biases, on samples that a search has drawn",
            "prm-search evaluate benchmark=bias benchmark.run_dir=runs/samples prm=sandbox",
        ),
        ("in the sandbox, on a CPU", "prm-search evaluate benchmark=sandbox prm=sandbox"),
        (
            "several models side by side",
            "prm-search evaluate report runs/first runs/second --output comparison.html",
        ),
    ),
)


def evaluate_with(config: DictConfig, command: str, console: Console) -> int:
    """Run the evaluation that a composed configuration describes, and show it."""
    job = evaluation_job(config)
    code = asyncio.run(
        run_evaluation(job, config=plain_config(config), command=command, console=console)
    )
    if code != INTERRUPTED:
        show([Path(job.run_dir)], console)
    return code


def report(arguments: Sequence[str], console: Console) -> int:
    """Show evaluations side by side: `prm-search evaluate report`."""
    parser = argparse.ArgumentParser(
        prog="prm-search evaluate report",
        description="Print the tables of evaluations, finished or not, and write their report.",
        epilog="Example: prm-search evaluate report runs/first runs/second -o comparison.html",
    )
    parser.add_argument("run_dirs", type=Path, nargs="+", help="directories of evaluations")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        help="the HTML file to write (evaluation.html in the directory, if there is only one)",
    )
    parser.add_argument(
        "-t",
        "--threshold",
        type=_share,
        help="compute everything with this threshold; evaluation.json keeps the declared one",
    )
    options = parser.parse_args(arguments)
    show(options.run_dirs, console, output=options.output, threshold=options.threshold)
    return OK


def show(
    run_dirs: Sequence[Path],
    console: Console,
    *,
    output: Path | None = None,
    threshold: float | None = None,
) -> None:
    """Print the tables of evaluations and write evaluation.json for each, and one report.

    Args:
        output: the report; None puts it beside the only evaluation, or here.
        threshold: for all of them; None takes those that were declared.
    """
    # Needed by no evaluation that fails to start.
    from prm_search.reporting.evaluation_html import write_evaluation_report
    from prm_search.reporting.evaluation_table import tables

    evaluations: list[Evaluation] = []
    for run_dir in run_dirs:
        evaluation = read_evaluation(run_dir, threshold=threshold)
        if threshold is None:
            write_evaluation(run_dir, evaluation)
        evaluations.append(evaluation)
    for table in tables(evaluations):
        console.print(table)
    if output is None:
        name = "evaluation.html"
        output = run_dirs[0] / name if len(run_dirs) == 1 else Path(name)
    print(f"Report: {write_evaluation_report(output, evaluations)}")


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not in [0, 1]")
    return value
