"""Everything that the study has measured, computed from what its stages wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from prm_search.aggregation import Aggregation
from prm_search.errors import DataError
from prm_search.evaluation.best_of_n import BestOfNReport, best_of_n_report
from prm_search.evaluation.bias import BiasScore, bias_report
from prm_search.evaluation.processbench import (
    FirstErrorReport,
    f1_by_threshold,
    first_error_report,
)
from prm_search.evaluation.records import read_results
from prm_search.evaluation.result import CaseResult
from prm_search.statistics import Estimate
from prm_search.studies.lessons.draws import Draws, Results, draws
from prm_search.studies.lessons.findings import (
    Finding,
    findings,
    rank_agreement,
    values_of,
)
from prm_search.studies.lessons.label_quality import LabelQuality, label_quality
from prm_search.studies.lessons.recorded import read_recording
from prm_search.studies.lessons.sources import THRESHOLDS, LabelSource, threshold_source

DETECTION_THRESHOLDS = tuple(index / 20 for index in range(1, 20))


@dataclass(frozen=True, kw_only=True, slots=True)
class PrmResult:
    """What a PRM trained on one source of labels can do, over all seeds."""

    source: str
    first_errors: FirstErrorReport
    best_of_n: BestOfNReport
    bias: BiasScore
    """Over all levels."""
    f1_by_threshold: tuple[tuple[float, float | None], ...]
    """(threshold below which a step counts as wrong, mean F1)"""
    f1_by_seed: tuple[float, ...]
    best_of_k_by_seed: Mapping[str, tuple[float, ...]]
    """By aggregation."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LessonsResults:
    """What came of the study."""

    seeds: tuple[int, ...]
    k: int
    threshold: float
    """The first step that scores below it is the predicted error."""
    num_responses: int
    """Responses to train on."""
    left_out: Mapping[str, int]
    """Others, by reason."""
    labels: tuple[LabelQuality, ...]
    sweep: tuple[tuple[float, LabelQuality], ...]
    """Monte-Carlo hard labels by threshold."""
    prms: tuple[PrmResult, ...]
    findings: tuple[Finding, ...]
    rank_agreement: Estimate | None
    """Of the PRMs by F1 and by best-of-k."""
    seconds: Mapping[str, float]
    """By kind of stage."""

    def to_json(self) -> dict[str, object]:
        """Everything as plain values."""
        return {**asdict(self), "findings": values_of(self.findings)}


def measure(
    sources: Sequence[LabelSource],
    label_dir: Path,
    evaluation_dirs: Mapping[str, Sequence[Path]],
    *,
    seeds: Sequence[int],
    k: int,
    threshold: float,
    seconds: Mapping[str, float],
) -> LessonsResults:
    """Compute everything.

    Args:
        sources: that PRMs were trained on.
        label_dir: of the finished labeling run.
        evaluation_dirs: by name of the source, [num_seeds] finished evaluations.
        seeds: [num_seeds]
        k: of best-of-k.
        threshold: the first step that scores below it is the predicted error.
        seconds: what the stages took, by kind.

    Raises:
        DataError: if something is not finished.
    """
    recording = read_recording(label_dir)
    responses = recording.responses
    found = {
        name: [_read(folder) for folder in folders] for name, folders in evaluation_dirs.items()
    }
    pooled = {name: [item for part in parts for item in part] for name, parts in found.items()}
    draws_of_all = draws(pooled, k=k, threshold=threshold)
    by_seed = [
        draws({name: parts[place] for name, parts in found.items()}, k=k, threshold=threshold)
        for place in range(len(seeds))
    ]
    return LessonsResults(
        seeds=tuple(seeds),
        k=k,
        threshold=threshold,
        num_responses=len(responses),
        left_out=recording.left_out,
        labels=tuple(label_quality(source, responses) for source in sources),
        sweep=tuple(
            (value, label_quality(threshold_source(value), responses)) for value in THRESHOLDS
        ),
        prms=tuple(_prm(name, pooled, by_seed, threshold) for name in pooled),
        findings=findings(draws_of_all, by_seed, k=k),
        rank_agreement=rank_agreement(draws_of_all),
        seconds=seconds,
    )


def _prm(name: str, pooled: Results, by_seed: Sequence[Draws], threshold: float) -> PrmResult:
    results = pooled[name]
    first_errors = first_error_report(results, threshold=threshold)
    best_of_n = best_of_n_report(results)
    bias = bias_report(results, threshold=threshold)
    if first_errors is None or best_of_n is None or not bias:
        raise DataError(f"the evaluation of {name} has no solutions whose truth is known")
    by_threshold = f1_by_threshold(results, DETECTION_THRESHOLDS)
    return PrmResult(
        source=name,
        first_errors=first_errors,
        best_of_n=best_of_n,
        bias=bias[-1],
        f1_by_threshold=tuple(zip(DETECTION_THRESHOLDS, by_threshold, strict=True)),
        f1_by_seed=tuple(float(item.f1(name)[0]) for item in by_seed),
        best_of_k_by_seed={
            str(how): tuple(float(item.best_of_k(name, how)[0]) for item in by_seed)
            for how in Aggregation
        },
    )


def _read(folder: Path) -> Sequence[CaseResult]:
    read = read_results(folder)
    if not read.is_finished:
        raise DataError(
            f"{folder} is not finished: an engine failed on {read.num_left} solutions. Remove it "
            "and start the study again"
        )
    return read.results
