"""The command `prm-search compare`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from prm_search.budget import Role
from prm_search.comparison.compare import compare
from prm_search.comparison.comparison import Comparison
from prm_search.comparison.wording import advice_sentences, level_sentences, loss_sentences
from prm_search.manifest import CONFIG
from prm_search.run_session import OK

SUMMARY = "compare search runs: accuracy against tokens, FLOPs and seconds"
PAGE = "comparison.html"


def run(arguments: Sequence[str], console: Console) -> int:
    """Compare search runs: `prm-search compare`.

    Raises:
        PrmSearchError: if a path holds no run, or the runs cannot be compared.
    """
    options = _parser().parse_args(arguments)
    # Needed by no comparison that fails.
    from prm_search.reporting.compare_html import write_comparison_page
    from prm_search.reporting.compare_table import compare_table

    given = {Role.POLICY: options.policy_parameters, Role.PRM: options.prm_parameters}
    comparison = compare(
        options.paths,
        parameters={role: round(size) for role, size in given.items() if size is not None},
        seed=options.seed,
    )
    page = options.output or _default_page(options.paths)
    console.print(compare_table(comparison))
    for line in _lines(comparison):
        console.print(line, highlight=False, markup=False)
    write_comparison_page(page, comparison)
    print(f"Numbers: {write_numbers(page.with_suffix('.json'), comparison)}")
    print(f"Page: {page}")
    return OK


def write_numbers(path: Path, comparison: Comparison) -> Path:
    """Write all numbers as JSON, in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.draft")
    text = json.dumps(comparison.to_json(), indent=2, ensure_ascii=False, allow_nan=False)
    draft.write_text(text + "\n")
    draft.replace(path)
    return path


def _lines(comparison: Comparison) -> list[str]:
    rows = [*advice_sentences(comparison), *level_sentences(comparison)]
    return [
        *(f"{where}: {name}; {reached}" for where, name, reached in rows),
        *loss_sentences(comparison),
        *comparison.notes,
    ]


def _default_page(paths: Sequence[Path]) -> Path:
    """In the sweep, if it is one; else here."""
    if len(paths) == 1 and not (paths[0] / CONFIG).is_file():
        return paths[0] / PAGE
    return Path(PAGE)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="prm-search compare",
        description="Compare search runs, finished or not: every method and setting, seeds taken "
        "together, against majority vote at equal cost. Prints a table, and writes all numbers as "
        "JSON and a page with plots.",
        epilog="Example: prm-search search --multirun search=majority,beam seed=0,1,2 … "
        "run_dir=runs/sweep; then prm-search compare runs/sweep",
    )
    parser.add_argument(
        "paths",
        type=Path,
        nargs="+",
        metavar="RUN_DIR",
        help="directories of runs, or of --multirun sweeps",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        help=f"the HTML file to write, the JSON beside it ({PAGE} in the sweep, or here)",
    )
    parser.add_argument(
        "--policy-parameters",
        type=_count,
        metavar="N",
        help="parameters of the policy, such as 1.5e9, where no run knows them",
    )
    parser.add_argument("--prm-parameters", type=_count, metavar="N", help="the same for the PRM")
    parser.add_argument(
        "--seed", type=int, default=0, help="of the bootstrap and of majority votes (0)"
    )
    return parser


def _count(text: str) -> float:
    value = float(text)
    if not 1 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no number of parameters")
    return value
