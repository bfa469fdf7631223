"""The command `prm-search convert`: labeled solutions from one format to another."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from prm_search.data.formats import FORMATS, Conversion, convert, prm800k_format
from prm_search.data.prm800k import Neutral, Prm800k
from prm_search.data.stepwise import StepwiseRow
from prm_search.data.tables import write_table
from prm_search.errors import ConfigurationError
from prm_search.labeling.decontamination import Decontamination

_NUM_SHOWN = 5

_DESCRIPTION = """\
Convert labeled solutions from one format to another. The suffixes of the files say of which kind
they are: .jsonl, .ndjson, .json or .parquet. Rows that cannot be read, or that the other format
cannot hold, are named and left out."""

_FORMATS = """\
formats:
  trl            prompt, completions, labels; soft labels and more in further columns
  processbench   problem, steps, label: the 0-based index of the first error, or -1
  math_shepherd  problem and steps in one text, with a tag at each label
  prm800k        ratings by people (only --from)

example:
  prm-search convert --from processbench --to trl gsm8k.json gsm8k.parquet"""


def run(arguments: Sequence[str]) -> int:
    """Convert a file.

    Returns:
        The exit code.

    Raises:
        DataError: if a file cannot be read or written, or no row of it can be used.
        ConfigurationError: if an option has no meaning here.
    """
    options = _parser().parse_args(arguments)
    if options.source_format != "prm800k" and (options.neutral or options.alternatives):
        raise ConfigurationError("--neutral and --alternatives belong to --from prm800k")
    source = FORMATS[options.source_format]
    if options.source_format == "prm800k":
        neutral = Neutral(options.neutral or Neutral.right)
        source = prm800k_format(Prm800k(neutral=neutral, alternatives=options.alternatives))
    index = Decontamination(files=options.decontaminate).load()

    def objection(solution: StepwiseRow) -> str | None:
        match = index.find(solution.prompt)
        return None if match is None else str(match)

    done = convert(
        options.source,
        options.target,
        source=source,
        target=FORMATS[options.target_format],
        all_labels=options.all_labels,
        objection=objection,
    )
    if options.set_aside is not None:
        columns = {"file": "string", "row": "int64", "reason": "string"}
        write_table(options.set_aside, map(asdict, done.set_aside), columns)
    _report(done, options.target)
    return 0


def _report(done: Conversion, target: Path) -> None:
    print(f"{done.num_written:,} solutions written to {target}.")
    if not done.set_aside:
        return
    print(f"{len(done.set_aside):,} rows set aside:", file=sys.stderr)
    for row in done.set_aside[:_NUM_SHOWN]:
        print(f"  {row}", file=sys.stderr)
    if len(done.set_aside) > _NUM_SHOWN:
        print("  … (--set-aside FILE lists all of them)", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="prm-search convert",
        description=_DESCRIPTION,
        epilog=_FORMATS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    writable = [name for name, form in FORMATS.items() if form.write is not None]
    parser.add_argument(
        "--from", dest="source_format", required=True, choices=FORMATS, help="format of IN"
    )
    parser.add_argument(
        "--to", dest="target_format", required=True, choices=writable, help="format of OUT"
    )
    parser.add_argument("source", metavar="IN", type=Path, help="file to read")
    parser.add_argument("target", metavar="OUT", type=Path, help="file to write")
    parser.add_argument(
        "--all-labels",
        action="store_true",
        help="keep the labels of steps after the first error, where IN has them",
    )
    parser.add_argument(
        "--decontaminate",
        metavar="FILE",
        action="append",
        default=[],
        help="leave out problems that are in this evaluation set; may be given several times",
    )
    parser.add_argument(
        "--set-aside", metavar="FILE", type=Path, help="list the rows that were left out in a file"
    )
    parser.add_argument(
        "--neutral",
        choices=[item.value for item in Neutral],
        help="prm800k: what a step is that was rated 0 (default: right)",
    )
    parser.add_argument(
        "--alternatives",
        action="store_true",
        help="prm800k: a row for each rated candidate that was not chosen, too",
    )
    return parser
