"""Label the samples of a finished sandbox run with the oracle.

    python -m prm_search.sandbox.label runs/samples labels.jsonl

Reads the search trees of a run (any method; best-of-N keeps every sample whole) and writes each
different solution as a TRL stepwise row. The oracle stands in for human annotators.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from prm_search.data.stepwise import StepwiseRow, write_stepwise
from prm_search.sandbox.oracle import check_steps
from prm_search.store import RECORDS
from prm_search.tree import SearchTree
from prm_search.types import StopReason


def label_run(run_dir: Path) -> Iterator[StepwiseRow]:
    """Labeled solutions of a run: those that ended by themselves, without duplicates.

    Raises:
        ValueError: if a problem of the run is no sandbox problem.
    """
    with (run_dir / RECORDS).open() as file:
        for line in file:
            record = json.loads(line)
            if record["tree"] is None:
                continue
            tree = SearchTree.from_json(record["tree"])
            seen: set[tuple[str, ...]] = set()
            for leaf in tree.leaves:
                steps = tuple(node.text.strip() for node in tree.path_to(leaf)[1:])
                if leaf.stop_reason is not StopReason.END or not steps or steps in seen:
                    continue
                seen.add(steps)
                errors = check_steps(record["prompt"], steps)
                yield StepwiseRow(
                    prompt=record["prompt"],
                    completions=steps,
                    labels=tuple(error is None for error in errors),
                )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    count = write_stepwise(arguments.out, label_run(arguments.run_dir))
    print(f"{count} labeled solutions written to {arguments.out}")


if __name__ == "__main__":
    main()
