"""What step labels cost: rollouts, generated tokens and seconds per response.

    python -m benchmarks.labeling_cost            400 responses
    python -m benchmarks.labeling_cost --quick     30 responses, within 6 minutes
    python -m benchmarks.labeling_cost --num-responses 600 --methods exhaustive

Every method labels the same responses of the sandbox policy on the same vLLM engines, each
beginning with empty caches:

* `<method>.rollouts_per_response`, `.tokens_per_response` (policy and judge),
  `.seconds_per_response`;
* `<method>.identical_labels`: the share of responses whose labels equal those of `exhaustive`,
  or for `consensus` those that `consensus_exhaustive` keeps. On a fake engine it is 1 for lazy,
  stop_at_first_error and consensus (the tests hold this); vLLM's numerics depend on what is
  computed side by side, so here it can be less;
* `consensus.fewest_rollouts_per_response`: what would be drawn if it were known beforehand how each
  rollout ends, and only the proof had to be drawn: one success for each right step, all rollouts
  of a wrong one, and of a response that is set aside the cheapest disagreement. No order of
  drawing can do with less;
* `lazy.engine_busy`: tokens per second while labeling lazily, over those of one plain batch of
  the same completions (the more responses, the higher: the last ones to be labeled do not fill
  an engine);
* `processbench.<subset>.<method>`: rollouts per response on the human error positions of
  ProcessBench, simulated: 8 rollouts a step, each good prefix succeeds with probability 0.7,
  and the last step costs rollouts too.

`consensus_exhaustive` is not run: its rollouts are those of `exhaustive`, its critiques those of
`judge`, and its time is the sum of both. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import cast

from benchmarks.job import console
from benchmarks.labeling import (
    LabelBench,
    RememberingCompleter,
    annotate_all,
    compose_label_job,
    label_engines,
    replay,
    sample_responses,
)
from prm_search.budget import Role
from prm_search.labeling.annotation import Annotation, Annotator, Response
from prm_search.labeling.consensus import Consensus, joined
from prm_search.labeling.cost_simulation import CostSimulation, KnownResponse
from prm_search.labeling.judge_votes import JudgeVotes
from prm_search.labeling.monte_carlo import SOURCE, MonteCarlo, Order
from prm_search.labeling.rollouts import Outcome
from prm_search.labeling.witness_sharing import WitnessOrder, WitnessSharing

METHODS: Mapping[str, Annotator] = {
    "lazy": MonteCarlo(order=Order.lazy),
    "exhaustive": MonteCarlo(order=Order.exhaustive),
    "consensus": Consensus(),
    "judge": JudgeVotes(),
    "stop_at_first_error": MonteCarlo(order=Order.stop_at_first_error),
    "binary_search": MonteCarlo(order=Order.binary_search),
    "witness_sharing": WitnessSharing(),
    "witness_sharing_backward": WitnessSharing(order=WitnessOrder.backward),
}
"""Those that are compared in time run one after the other: a machine may be slower later."""
NUM_SAMPLES = 2
"""Samples of each problem."""
FIRST_ERRORS = Path(__file__).with_name("processbench_first_errors.json")
"""How many responses of each subset have so many steps and that label, as [num_steps, label,
count]; label -1 means that every step is right."""
SUBSETS = ("gsm8k", "math", "olympiadbench", "omnimath")


@dataclass(frozen=True, kw_only=True, slots=True)
class Labeled:
    """What a method made of all responses."""

    annotations: Sequence[Annotation]
    seconds: float

    @property
    def rollouts_per_response(self) -> float:
        """Completions drawn."""
        return self._mean([item.ledger.num_generations for item in self.annotations])

    @property
    def tokens_per_response(self) -> float:
        """Tokens that completer and judge generated."""
        return self._mean([generated_tokens(item) for item in self.annotations])

    @property
    def seconds_per_response(self) -> float:
        """Wall time."""
        return self.seconds / len(self.annotations)

    def _mean(self, counts: Sequence[int]) -> float:
        return sum(counts) / len(self.annotations)


def generated_tokens(annotation: Annotation) -> int:
    """Tokens that were generated to label one response."""
    return sum(annotation.ledger.of(role).generated_tokens for role in (Role.POLICY, Role.JUDGE))


def full_recipe(exhaustive: Labeled, judge: Labeled) -> Labeled:
    """Consensus of complete Monte-Carlo labels and a judge, from both done apart."""
    pairs = zip(judge.annotations, exhaustive.annotations, strict=True)
    return Labeled(
        annotations=[joined(verdict, estimate) for verdict, estimate in pairs],
        seconds=exhaustive.seconds + judge.seconds,
    )


def share_identical(annotations: Sequence[Annotation], others: Sequence[Annotation]) -> float:
    """The share of responses that have the same labels, or are set aside by both."""

    def values(annotation: Annotation) -> list[float | None]:
        return [label.value for label in annotation.labels]

    pairs = list(zip(annotations, others, strict=True))
    return sum(values(first) == values(second) for first, second in pairs) / len(pairs)


def fewest_rollouts(verdict: Annotation, estimate: Annotation) -> int:
    """The fewest rollouts that prove or refute that both name the same first error.

    Args:
        verdict: of the judge.
        estimate: of all rollouts of all steps but the last, which needs none.
    """
    claimed = verdict.first_error
    if verdict.rejection is not None or estimate.rejection is not None:
        return 0
    details = cast("Mapping[str, object]", estimate.details[SOURCE])
    drawn = cast("list[int]", details["num_rollouts"])
    successes = cast("list[int]", details["num_successes"])
    last = len(drawn) - 1
    if claimed == estimate.first_error:
        num_right = last if claimed is None else claimed
        return num_right + (drawn[claimed] if claimed is not None else 0)
    is_answer_right = details["answer"] == Outcome.RIGHT
    if (claimed is None and not is_answer_right) or (claimed == last and is_answer_right):
        return 0
    if claimed is not None and claimed < last and successes[claimed]:
        return 1
    before = range(last if claimed is None else claimed)
    return min(drawn[step] for step in before if not successes[step])


def summary(labeled: Mapping[str, Labeled]) -> dict[str, float]:
    """The figures of all methods, and the ratios that are aimed at."""
    figures: dict[str, float] = {}
    for name, result in labeled.items():
        reference = "consensus_exhaustive" if name.startswith("consensus") else "exhaustive"
        figures |= {
            f"{name}.rollouts_per_response": result.rollouts_per_response,
            f"{name}.tokens_per_response": result.tokens_per_response,
            f"{name}.seconds_per_response": result.seconds_per_response,
            f"{name}.kept": sum(not item.rejection for item in result.annotations)
            / len(result.annotations),
            f"{name}.identical_labels": share_identical(
                result.annotations, labeled[reference].annotations
            ),
        }
    if "consensus_exhaustive" in labeled:
        pairs = zip(labeled["judge"].annotations, labeled["exhaustive"].annotations, strict=True)
        figures["consensus.fewest_rollouts_per_response"] = fmean(
            fewest_rollouts(verdict, estimate) for verdict, estimate in pairs
        )
    for name, reference in (("lazy", "exhaustive"), ("consensus", "consensus_exhaustive")):
        if name not in labeled:
            continue
        saved, plain = labeled[name], labeled[reference]
        figures |= {
            f"{name}.times_fewer_rollouts": plain.rollouts_per_response
            / saved.rollouts_per_response,
            f"{name}.times_faster": plain.seconds / saved.seconds,
        }
    return figures


def known_responses(subset: str) -> list[KnownResponse]:
    """Lengths and human error positions of a subset of ProcessBench."""
    counts = json.loads(FIRST_ERRORS.read_text())[subset]
    return [
        KnownResponse(num_steps=num_steps, first_error=None if label < 0 else label)
        for num_steps, label, count in counts
        for _ in range(count)
    ]


async def simulated() -> dict[str, float]:
    """Rollouts per response on ProcessBench, by subset and method."""
    return {
        f"processbench.{subset}.{method}": rollouts
        for subset in SUBSETS
        for method, rollouts in (await CostSimulation().run(known_responses(subset))).items()
    }


async def run(annotator: Annotator, responses: Sequence[Response], bench: LabelBench) -> Labeled:
    """Label the responses with one method, beginning with empty caches."""
    annotations, seconds = await annotate_all(annotator, responses, bench)
    return Labeled(annotations=annotations, seconds=seconds)


async def run_lazy(
    responses: Sequence[Response], bench: LabelBench
) -> tuple[Labeled, dict[str, float]]:
    """Label lazily, and draw the same rollouts once more, all at once.

    Returns:
        The labels, and how busy labeling kept the engine beside the plain batch.
    """
    completer = RememberingCompleter(completer=bench.completer)
    lazy = await run(METHODS["lazy"], responses, replace(bench, completer=completer))
    await bench.reset_cache()
    plain_seconds = await replay(bench.completer, completer.requests)
    num_tokens = sum(map(generated_tokens, lazy.annotations))
    return lazy, {
        "lazy.engine_busy": plain_seconds / lazy.seconds,
        "lazy.tokens_per_second": num_tokens / lazy.seconds,
        "plain.tokens_per_second": num_tokens / plain_seconds,
    }


async def measure(
    num_responses: int, methods: Sequence[str], overrides: Sequence[str]
) -> dict[str, float]:
    """Label the same responses with lazy and exhaustive labels, and with the given methods."""
    num_problems = num_responses // NUM_SAMPLES * 4 // 3 + 10  # some samples are equal
    job = compose_label_job(f"data.num_problems={num_problems}", *overrides)
    labeled: dict[str, Labeled] = {}
    async with label_engines(job) as bench:
        sampled = await sample_responses(
            bench.completer, job.data.load().problems, num_responses=NUM_SAMPLES
        )
        # The levels take turns, so the first ones are as mixed as all of them.
        responses = sampled[:num_responses]
        labeled["lazy"], busy = await run_lazy(responses, bench)
        for name in [name for name in METHODS if name in {"exhaustive", *methods}]:
            labeled[name] = await run(METHODS[name], responses, bench)
            console.print(f"{name:<25} {labeled[name].seconds:.1f} s")
    if "consensus" in labeled:
        labeled["consensus_exhaustive"] = full_recipe(labeled["exhaustive"], labeled["judge"])
    return summary(labeled) | busy | await simulated() | {"num_responses": len(responses)}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer responses")
    parser.add_argument("--num-responses", type=int)
    parser.add_argument(
        "--methods",
        nargs="+",
        choices=sorted(METHODS),
        default=list(METHODS),
        help="beside lazy and exhaustive, which always run; consensus takes judge along",
    )
    parser.add_argument("overrides", nargs="*", help="settings, as for prm-search label")
    arguments = parser.parse_args()
    num_responses = arguments.num_responses or (30 if arguments.quick else 400)
    methods = set(arguments.methods) - {"lazy"}
    if "consensus" in methods:
        methods.add("judge")
    figures = asyncio.run(measure(num_responses, sorted(methods), arguments.overrides))
    figures = {
        key: round(value, 4) if isinstance(value, float) else value
        for key, value in figures.items()
    }
    for key, value in figures.items():
        console.print(f"{key:<50} {value}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
