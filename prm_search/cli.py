"""The command `prm-search`: subcommands over Hydra."""

from __future__ import annotations

import argparse
import asyncio
import difflib
import os
import re
import shlex
import shutil
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console

from prm_search import convert_command
from prm_search.bootstrapping.command import TRAIN_RPRM, rprm_job
from prm_search.building import plain_config
from prm_search.command_descriptions import LABEL, SEARCH
from prm_search.command_help import Description, help_text
from prm_search.comparison import command as comparison
from prm_search.composition import expand_home, prepare
from prm_search.errors import ConfigurationError, PrmSearchError
from prm_search.evaluation import command as evaluation
from prm_search.interrupt import terminated_as_interrupted
from prm_search.job import search_job
from prm_search.labeling.label_job import label_job
from prm_search.labeling.label_report import is_label_run, report_labels
from prm_search.labeling.label_run import run_label_job
from prm_search.manifest import versions
from prm_search.mistakes import explain, refuse_empty_groups
from prm_search.rl.command import TRAIN_RL, rl_job
from prm_search.run_session import FAILED, INTERRUPTED, OK
from prm_search.runs import run_job
from prm_search.serving.command import SERVE_REWARD, serve_with
from prm_search.studies.command import QUICK, STUDY, study_with
from prm_search.training import TRAIN_PRM, training_job

USAGE = 2
"""Exit code of a command line that cannot be understood."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand.

    Returns:
        The exit code: 0 done, 1 failed, 2 not understood, 130 interrupted.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    name, rest = (given[0], given[1:]) if given else ("--help", [])
    if name in ("-h", "--help"):
        print(_overview())
        return OK
    if name == "--version":
        print(f"prm-search {versions().get('prm-search', '(not installed)')}")
        return OK
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        print(f"prm-search: there is no command {name!r}{hint}\n", file=sys.stderr)
        print(_overview(), file=sys.stderr)
        return USAGE
    try:
        with terminated_as_interrupted():
            return COMMANDS[name].run(rest)
    except PrmSearchError as error:
        return _complain(error, shows_traceback=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """A subcommand."""

    summary: str
    run: Callable[[Sequence[str]], int]
    """Takes the arguments after the name of the command; gives the exit code."""


def search(arguments: Sequence[str]) -> int:
    """Solve problems: `prm-search search`."""
    return _run_with_hydra(SEARCH, arguments, _search)


def label(arguments: Sequence[str]) -> int:
    """Label steps: `prm-search label`."""
    return _run_with_hydra(LABEL, arguments, _label)


def evaluate(arguments: Sequence[str]) -> int:
    """Evaluate PRMs and judges: `prm-search evaluate`."""
    if arguments[:1] == ["report"]:
        return evaluation.report(arguments[1:], _console())
    return _run_with_hydra(evaluation.EVALUATE, arguments, _evaluate)


def train_prm(arguments: Sequence[str]) -> int:
    """Train a PRM: `prm-search train-prm`."""
    return _run_with_hydra(TRAIN_PRM, arguments, _train)


def study(arguments: Sequence[str]) -> int:
    """Run a study: `prm-search study`."""
    quick = ["quick=true" if item == QUICK else item for item in arguments]
    return _run_with_hydra(STUDY, quick, _study)


def train_rprm(arguments: Sequence[str]) -> int:
    """Train an R-PRM: `prm-search train-rprm`."""
    return _run_with_hydra(TRAIN_RPRM, arguments, _train_rprm)


def train_rl(arguments: Sequence[str]) -> int:
    """Train a policy: `prm-search train-rl`."""
    return _run_with_hydra(TRAIN_RL, arguments, _train_rl)


def serve_reward(arguments: Sequence[str]) -> int:
    """Serve rewards: `prm-search serve-reward`."""
    return _run_with_hydra(SERVE_REWARD, arguments, _serve)


def compare(arguments: Sequence[str]) -> int:
    """Compare search runs: `prm-search compare`."""
    return comparison.run(arguments, _console())


def report(arguments: Sequence[str]) -> int:
    """Show a run: `prm-search report`."""
    parser = argparse.ArgumentParser(
        prog="prm-search report",
        description="Print the table of a run, finished or not, and write its report.html; of a "
        "labeling run, write the data set of what is labeled so far.",
        epilog="Example: prm-search report runs/2026-01-31_12-00-00",
    )
    parser.add_argument("run_dir", type=Path, help="the directory of the run")
    _show_report(parser.parse_args(arguments).run_dir, _console())
    return OK


COMMANDS: Mapping[str, Command] = {
    "search": Command(summary=SEARCH.summary, run=search),
    "label": Command(summary=LABEL.summary, run=label),
    "evaluate": Command(summary=evaluation.EVALUATE.summary, run=evaluate),
    "convert": Command(
        summary="convert labeled solutions between formats", run=convert_command.run
    ),
    "train-prm": Command(summary=TRAIN_PRM.summary, run=train_prm),
    "train-rprm": Command(summary=TRAIN_RPRM.summary, run=train_rprm),
    "study": Command(summary=STUDY.summary, run=study),
    "train-rl": Command(summary=TRAIN_RL.summary, run=train_rl),
    "serve-reward": Command(summary=SERVE_REWARD.summary, run=serve_reward),
    "compare": Command(summary=comparison.SUMMARY, run=compare),
    "report": Command(summary="print the table of a run and write its report.html", run=report),
}


def _overview() -> str:
    lines = [f"  {name:<14}{command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "Search with process reward models, on Ray and vLLM.",
            "",
            "Usage: prm-search COMMAND …",
            "",
            *lines,
            "",
            "prm-search COMMAND --help says what a command can do.",
            "Start here: prm-search search experiment=demo",
        ]
    )


def _run_with_hydra(
    description: Description,
    arguments: Sequence[str],
    task: Callable[[DictConfig, str], int],
) -> int:
    """Compose the configuration and run the task with it, or with each of a multirun.

    Args:
        task: takes the configuration and a command line that starts the same once more.
    """
    options = _parser(description.command).parse_intermixed_args(arguments)
    overrides = [_with_home(item) for item in options.overrides]
    flags = ["--multirun"] if options.multirun else []
    if options.cfg:
        flags = [*flags, "--cfg", options.cfg, *(["--resolve"] if options.resolve else [])]
    codes: list[int] = []

    def run(config: DictConfig) -> int:
        expand_home(config)
        base = Path(config.get("run_dir", "."))  # a server writes nothing
        if HydraConfig.get().mode is RunMode.MULTIRUN:
            if "run_dir" not in config:
                raise ConfigurationError(f"{description.command} takes no --multirun")
            base = Path(HydraConfig.get().sweep.dir)
            config.run_dir = str(base / _folder(HydraConfig.get().overrides.task, overrides))
        again = [item for item in arguments if not item.startswith("run_dir=")]
        line = shlex.join(["prm-search", description.command, *again, f"run_dir={base}"])
        try:
            codes.append(task(config, line))
        except PrmSearchError as error:
            codes.append(_complain(error, shows_traceback=options.debug))
        if codes[-1] == INTERRUPTED:
            raise KeyboardInterrupt  # which ends a multirun, too
        return codes[-1]

    arguments_before = sys.argv
    try:
        further = prepare(options.config_dir)
        refuse_empty_groups(overrides, options.config_dir)
        if options.help:
            width = min(shutil.get_terminal_size((100, 24)).columns, 120)
            print(help_text(description, overrides, config_dir=options.config_dir, width=width))
            return OK
        final = _deferred(overrides) if options.multirun else overrides
        sys.argv = [f"prm-search {description.command}", *flags, *final, *further]
        os.environ["HYDRA_FULL_ERROR"] = "1"  # its errors come here rather than to the terminal
        start = hydra.main("pkg://conf", config_name=description.command, version_base="1.3")
        start(run)()
    except (HydraException, OmegaConfBaseException) as error:
        message = explain(error, description.command, overrides, options.config_dir)
        return _complain(ConfigurationError(message), shows_traceback=options.debug, cause=error)
    except PrmSearchError as error:
        return _complain(error, shows_traceback=options.debug)
    except (KeyboardInterrupt, asyncio.CancelledError):
        return INTERRUPTED
    finally:
        sys.argv = arguments_before
    return max(codes, default=OK)


def _with_home(override: str) -> str:
    """The same with the home folder for ~, which shells leave alone there and Hydra cannot read."""
    return re.sub(r"(?<=[=,\[])~(?=/)", lambda _: str(Path.home()), override)


def _deferred(given: Sequence[str]) -> list[str]:
    """The overrides of a multirun, with settings inside of varied groups as values to vary, too.

    Hydra first composes a configuration without what is varied. In it, a group has the option
    that is its default, which may not have such a setting.
    """
    parsed = OverridesParser.create().parse_overrides(list(given))
    varied = {item.get_key_element() for item in parsed if item.is_sweep_override()}
    return [
        f"{name}=choice({value})"
        if not item.is_sweep_override() and name.lstrip("+").partition(".")[0] in varied
        else text
        for text, item in zip(given, parsed, strict=True)
        for name, _, value in [text.partition("=")]
    ]


def _folder(chosen: Sequence[str], given: Sequence[str]) -> str:
    """The name of the folder of one combination of a multirun: the search, and what was varied.

    So multiruns over the settings of several searches can write to the same folder.
    """
    parsed = OverridesParser.create().parse_overrides(list(given))
    swept = {item.get_key_element() for item in parsed if item.is_sweep_override()}
    varied = [item for item in chosen if item.partition("=")[0] in {*swept, "search"}]
    return ",".join(varied).replace("/", "_")


def _parser(command: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"prm-search {command}",
        usage=f"prm-search {command} [options] [group=option …] [setting=value …]",
        add_help=False,
        allow_abbrev=False,
    )
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("-m", "--multirun", action="store_true")
    parser.add_argument("--cfg", choices=("job", "hydra", "all"))
    parser.add_argument("--resolve", action="store_true")
    parser.add_argument("--config-dir", type=Path)
    parser.add_argument("-X", "--debug", action="store_true")
    return parser


def _search(config: DictConfig, command: str) -> int:
    name = str(HydraConfig.get().runtime.choices.get("search"))
    job = search_job(config, name=name)
    console = _console()
    code = asyncio.run(run_job(job, config=plain_config(config), command=command, console=console))
    if code != INTERRUPTED:
        _show_report(Path(job.run_dir), console)
    return code


def _label(config: DictConfig, command: str) -> int:
    name = str(HydraConfig.get().runtime.choices.get("label"))
    job = label_job(config, name=name)
    return asyncio.run(
        run_label_job(
            job, name=name, config=plain_config(config), command=command, console=_console()
        )
    )


def _evaluate(config: DictConfig, command: str) -> int:
    return evaluation.evaluate_with(config, command, _console())


def _train(config: DictConfig, command: str) -> int:
    return training_job(config).run(config=plain_config(config), command=command)


def _study(config: DictConfig, command: str) -> int:
    return study_with(config, command, _console())


def _train_rprm(config: DictConfig, command: str) -> int:
    return rprm_job(config).run(config=plain_config(config), command=command)


def _train_rl(config: DictConfig, command: str) -> int:
    return rl_job(config).run(config=plain_config(config), command=command)


def _serve(config: DictConfig, command: str) -> int:
    return serve_with(config, _console())


def _console() -> Console:
    """Wide enough for the table where the output goes to a file."""
    return Console(width=None if sys.stdout.isatty() else 120)


def _show_report(run_dir: Path, console: Console) -> None:
    if is_label_run(run_dir):
        console.print(report_labels(run_dir), highlight=False, markup=False, soft_wrap=True)
        return
    from prm_search import reporting  # needed by no run that fails to start

    console.print(reporting.table(reporting.summarize(reporting.read_run(run_dir))))
    print(f"Report: {reporting.write_report(run_dir)}")


def _complain(
    error: PrmSearchError, *, shows_traceback: bool, cause: BaseException | None = None
) -> int:
    if shows_traceback:
        traceback.print_exception(cause or error)
    print(f"prm-search: {error}", file=sys.stderr)
    return USAGE if isinstance(error, ConfigurationError) else FAILED
