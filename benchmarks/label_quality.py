"""How true step labels are: every source against the sandbox's oracle.

    python -m benchmarks.label_quality            2,000 responses
    python -m benchmarks.label_quality --quick      200 responses

All sources label the same responses of the sandbox policy, from the same rollouts: each is drawn
once, and each source uses those that it would have drawn.

* `mc_hard`: a step is right if any of 8 rollouts succeeds. `mc_soft`: if more than half do.
* `judge`: one greedy critique. `consensus`: where `judge` and `mc_hard` agree.
* `witness_sharing` by binary search, and `witness_sharing_backward`, which is exact.

Of the responses that a source keeps, `first_error_accuracy` is the share whose first error (or
the lack of one) it finds; `error_recall` is the share of those with an error where it names just
that step; `error_precision` is the share of those where it names an error and that step is it;
`retention` is the share that it keeps. `<figure>.ci` is the 95 % Wilson interval. Responses come
several to a problem, which the intervals leave out of account. `<source>.level_<n>.<figure>`
gives the same by difficulty. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rich.table import Table

from benchmarks.job import console
from benchmarks.labeling import (
    RememberingCompleter,
    annotate_all,
    compose_label_job,
    label_engines,
    sample_responses,
)
from prm_search.labeling.annotation import Annotation, Annotator, Response
from prm_search.labeling.consensus import joined
from prm_search.labeling.judge_votes import JudgeVotes
from prm_search.labeling.monte_carlo import MonteCarlo
from prm_search.labeling.oracle import SandboxOracle
from prm_search.labeling.witness_sharing import WitnessOrder, WitnessSharing
from prm_search.sandbox.world import LEVELS
from prm_search.statistics import wilson
from prm_search.types import StopReason

SOURCES: Mapping[str, Annotator] = {
    "mc_hard": MonteCarlo(),
    "witness_sharing": WitnessSharing(),
    "witness_sharing_backward": WitnessSharing(order=WitnessOrder.backward),
    "judge": JudgeVotes(),
    "mc_soft": MonteCarlo(threshold=0.5),
}
"""The first error of lazy labels is that of all rollouts, also for a share above one half."""
NUM_SAMPLES = 4
"""Samples of each problem."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """What a source says of one response, and what is true."""

    level: int
    is_kept: bool
    named: int | None
    """The first error that the source names, None if it names none."""
    true: int | None


def judged(response: Response, annotation: Annotation, truth: Annotation) -> Judged:
    """An annotation beside the truth."""
    level = response.trajectory.problem.metadata["level"]
    assert isinstance(level, int)
    return Judged(
        level=level,
        is_kept=annotation.rejection is None,
        named=annotation.first_error,
        true=truth.first_error,
    )


def figures(items: Sequence[Judged]) -> dict[str, float | list[float] | int]:
    """How a source does, with intervals; figures of nothing are left out."""
    kept = [item for item in items if item.is_kept]
    outcomes = {
        "first_error_accuracy": [item.named == item.true for item in kept],
        "error_recall": [item.named == item.true for item in kept if item.true is not None],
        "error_precision": [item.named == item.true for item in kept if item.named is not None],
        "retention": [item.is_kept for item in items],
    }
    found: dict[str, float | list[float] | int] = {}
    for name, are_right in outcomes.items():
        if are_right:
            estimate = wilson(sum(are_right), len(are_right))
            found[name] = round(estimate.value, 4)
            found[f"{name}.ci"] = [round(bound, 4) for bound in estimate.interval]
            found[f"{name}.count"] = len(are_right)
    return found


def by_level(items: Sequence[Judged]) -> dict[str, float | list[float] | int]:
    """The figures of a source, overall and by level."""
    found = figures(items)
    for level in LEVELS:
        chosen = [item for item in items if item.level == level]
        found |= {f"level_{level}.{name}": value for name, value in figures(chosen).items()}
    return found


async def measure(
    num_responses: int, num_soft_responses: int, overrides: Sequence[str]
) -> dict[str, float | list[float] | int | bool]:
    """Label the same responses with every source."""
    # Of four samples, two or three are different and come to an end.
    job = compose_label_job(f"data.num_problems={num_responses // 2 + 10}", *overrides)
    labeled: dict[str, list[Annotation]] = {}
    async with label_engines(job) as bench:
        sampled = await sample_responses(
            bench.completer, job.data.load().problems, num_responses=NUM_SAMPLES
        )
        ended = [item for item in sampled if item.trajectory.stop_reason is StopReason.END]
        responses = ended[:num_responses]
        bench = replace(bench, completer=RememberingCompleter(completer=bench.completer))
        truths, _ = await annotate_all(SandboxOracle(), responses, bench)
        for name, annotator in SOURCES.items():
            console.print(f"{name} …")
            some = responses[:num_soft_responses] if name == "mc_soft" else responses
            labeled[name], _ = await annotate_all(annotator, some, bench)
    labeled["consensus"] = [
        joined(verdict, estimate)
        for verdict, estimate in zip(labeled["judge"], labeled["mc_hard"], strict=True)
    ]
    result: dict[str, float | list[float] | int | bool] = {}
    for name, found in labeled.items():
        items = [judged(*item) for item in zip(responses, found, truths, strict=False)]
        result |= {f"{name}.{figure}": value for figure, value in by_level(items).items()}
    same = [
        first.first_error == second.first_error
        for first, second in zip(
            labeled["witness_sharing"], labeled["witness_sharing_backward"], strict=True
        )
    ]
    return result | {
        "witness_sharing.agrees_with_backward": round(sum(same) / len(same), 4),
        "responses.with_error": sum(truth.first_error is not None for truth in truths),
        "responses.count": len(responses),
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer responses")
    parser.add_argument("--num-responses", type=int)
    parser.add_argument(
        "--num-soft-responses", type=int, help="of these, soft labels, which cost most"
    )
    parser.add_argument("overrides", nargs="*", help="settings, as for prm-search label")
    arguments = parser.parse_args()
    num_responses = arguments.num_responses or (200 if arguments.quick else 2000)
    result = asyncio.run(
        measure(num_responses, arguments.num_soft_responses or num_responses, arguments.overrides)
    )
    names = ("first_error_accuracy", "error_recall", "error_precision", "retention")
    table = Table("", "accuracy", "recall", "precision", "retention")
    for source in (*SOURCES, "consensus"):
        shown = (_shown(result, f"{source}.{name}") for name in names)
        table.add_row(source.replace("_", " "), *shown)
    console.print(table)
    print(json.dumps(result))


def _shown(result: Mapping[str, object], key: str) -> str:
    value, interval = result.get(key), result.get(f"{key}.ci")
    if not isinstance(value, float) or not isinstance(interval, list):
        return "–"
    low, high = interval
    return f"{100 * value:.1f}\n{100 * low:.1f}…{100 * high:.1f}"


if __name__ == "__main__":
    main()
