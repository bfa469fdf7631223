"""The sources of labels that the study compares, each computed from the same recorded facts.

The labels are those that the annotators of `prm_search.labeling` give themselves from the same
rollouts and critiques; nothing is sampled again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from prm_search.data.stepwise import write_stepwise
from prm_search.labeling import judge_votes, monte_carlo, oracle
from prm_search.labeling.annotation import Annotation
from prm_search.labeling.consensus import joined
from prm_search.labeling.step_labels import no_labels, step_labels
from prm_search.sandbox.oracle import first_error
from prm_search.studies.lessons.recorded import (
    RecordedResponse,
    read_recording,
    stepwise_row,
)
from prm_search.types import Failure

THRESHOLDS = tuple(index / 8 for index in range(8))
"""The thresholds of the sweep in arXiv 2501.07301: a step is right if its share is above."""
MC_HARD, MC_SOFT, JUDGE = "mc_hard", "mc_soft", "judge"
CONSENSUS_HARD, CONSENSUS_SOFT, ORACLE = "consensus_hard", "consensus_soft", "oracle"


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelSource:
    """Where labels come from."""

    name: str
    annotate: Callable[[RecordedResponse], Annotation]
    is_soft: bool = False

    @property
    def loss(self) -> str:
        """What is minimised, as in the paper: cross-entropy, or the squared error of shares."""
        return "mse" if self.is_soft else "cross_entropy"


def label_sources(thresholds: Sequence[float] = ()) -> tuple[LabelSource, ...]:
    """The six sources, and Monte-Carlo hard labels with further thresholds.

    Args:
        thresholds: each in (0, 1).
    """
    return (
        LabelSource(name=MC_HARD, annotate=monte_carlo_hard),
        LabelSource(name=MC_SOFT, annotate=monte_carlo_soft, is_soft=True),
        LabelSource(name=JUDGE, annotate=judged),
        LabelSource(name=CONSENSUS_HARD, annotate=consensus_hard),
        LabelSource(name=CONSENSUS_SOFT, annotate=consensus_soft, is_soft=True),
        LabelSource(name=ORACLE, annotate=true_labels),
        *(threshold_source(value) for value in thresholds),
    )


def threshold_source(threshold: float) -> LabelSource:
    """Monte-Carlo hard labels: a step is right if its share of successes is above a threshold."""
    return LabelSource(
        name=f"{MC_HARD}_above_{threshold:g}",
        annotate=lambda response: monte_carlo_hard(response, threshold),
    )


def monte_carlo_hard(response: RecordedResponse, threshold: float = 0.0) -> Annotation:
    """As `MonteCarlo(threshold=…)`.

    Args:
        threshold: in [0, 1).
    """
    shares = [tally.share or 0.0 for tally in response.tallies]
    wrong = next((step for step, share in enumerate(shares) if share <= threshold), None)
    return Annotation(
        labels=step_labels(
            len(response.steps),
            wrong,
            source=monte_carlo.SOURCE,
            num_rollouts=response.num_rollouts,
        ),
        first_error=wrong,
    )


def monte_carlo_soft(response: RecordedResponse) -> Annotation:
    """As `MonteCarlo(labels=soft)`."""
    hard = monte_carlo_hard(response)
    shares = [tally.share for tally in response.tallies]
    shares += [None] * (len(response.steps) - len(shares))
    labels = zip(hard.labels, shares, strict=True)
    return replace(hard, labels=tuple(replace(label, value=share) for label, share in labels))


def judged(response: RecordedResponse) -> Annotation:
    """As `JudgeVotes`."""
    num_steps = len(response.steps)
    if isinstance(response.judged, Failure):
        labels = no_labels(num_steps, source=judge_votes.SOURCE)
        return Annotation(labels=labels, rejection=response.judged)
    return Annotation(
        labels=step_labels(num_steps, response.judged, source=judge_votes.SOURCE),
        first_error=response.judged,
    )


def consensus_hard(response: RecordedResponse) -> Annotation:
    """As `Consensus`."""
    return joined(judged(response), monte_carlo_hard(response))


def consensus_soft(response: RecordedResponse) -> Annotation:
    """As `Consensus` with soft labels."""
    return joined(judged(response), monte_carlo_soft(response))


def true_labels(response: RecordedResponse) -> Annotation:
    """As `SandboxOracle`."""
    wrong = first_error(response.prompt, response.steps)
    return Annotation(
        labels=step_labels(len(response.steps), wrong, source=oracle.SOURCE), first_error=wrong
    )


def write_sources(run_dir: Path, sources: Sequence[LabelSource], folder: Path) -> None:
    """Write the training data of each source: FOLDER/NAME.jsonl.

    Args:
        run_dir: of the labeling run.
        sources: to be written.
        folder: there afterwards with all of its files, or not at all.

    Raises:
        DataError: if the run cannot be used.
    """
    recording = read_recording(run_dir)
    draft = folder.with_name(f".draft_{folder.name}")
    draft.mkdir(parents=True, exist_ok=True)
    for source in sources:
        labeled = ((item, source.annotate(item)) for item in recording.responses)
        rows = (stepwise_row(*pair) for pair in labeled if pair[1].rejection is None)
        write_stepwise(draft / f"{source.name}.jsonl", rows)
    draft.replace(folder)
