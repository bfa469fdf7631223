"""All numbers of an evaluation, with everything that a number must not be quoted without."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from prm_search.errors import StoreError
from prm_search.evaluation import best_of_n, bias, prmbench, processbench
from prm_search.evaluation.best_of_n import BestOfNReport, best_of_n_report
from prm_search.evaluation.bias import BiasScore, bias_report
from prm_search.evaluation.prmbench import PrmBenchReport, prmbench_report
from prm_search.evaluation.processbench import (
    THRESHOLDS,
    FirstErrorReport,
    f1_by_threshold,
    first_error_report,
)
from prm_search.evaluation.records import read_results
from prm_search.evaluation.result import CaseResult
from prm_search.manifest import load_config
from prm_search.statistics import NUM_RESAMPLES
from prm_search.types import Failure

EVALUATION = "evaluation.json"
INTERVALS = "95 %, percentile bootstrap over problems, 10,000 resamples"


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """What came of an evaluation. A part is None where the cases have no truth for it."""

    model: str
    subject: str
    """prm, judge or recorded."""
    benchmark: str
    """Which benchmark, as its class is called."""
    benchmark_settings: Mapping[str, object]
    threshold: float | None
    """None for a judge, which has none."""
    num_votes: int | None
    """None for a PRM, which has none."""
    seed: int
    num_cases: int
    """Cases that have a result."""
    is_complete: bool
    """Whether all cases have a result."""
    num_failed: int
    """Cases without scores and verdicts."""
    num_unreadable_critiques: int
    failures: Mapping[str, int]
    """How often each kind of failure, unreadable critiques included, occurred."""
    first_errors: FirstErrorReport | None
    f1_by_threshold: tuple[tuple[float, float | None], ...]
    """(threshold, mean F1) for PRMs."""
    prmbench: PrmBenchReport | None
    best_of_n: BestOfNReport | None
    bias: tuple[BiasScore, ...]
    tokens_computed: int
    """By the PRM or the judge."""

    @property
    def rules(self) -> Mapping[str, str]:
        """How each part was computed."""
        prmbench_rule = prmbench.RULE + prmbench.JUDGE_RULE * (self.subject == "judge")
        parts = {
            "first_errors": (self.first_errors, processbench.RULE),
            "prmbench": (self.prmbench, prmbench_rule),
            "best_of_n": (self.best_of_n, best_of_n.RULE),
            "bias": (self.bias, bias.RULE),
        }
        rules = {name: rule for name, (part, rule) in parts.items() if part}
        return {**rules, "intervals": INTERVALS}

    @property
    def how(self) -> str:
        """Threshold or votes, in words."""
        if self.threshold is None:
            return "judge" if self.num_votes == 1 else f"judge, {self.num_votes} votes"
        return f"threshold {self.threshold:g}"

    def to_json(self) -> dict[str, object]:
        """Everything as plain values."""
        return {**asdict(self), "rules": dict(self.rules)}


def evaluate_results(
    results: Sequence[CaseResult],
    config: Mapping[str, Any],
    *,
    is_complete: bool,
    num_resamples: int = NUM_RESAMPLES,
) -> Evaluation:
    """Compute all numbers that the results allow.

    Args:
        config: of the evaluation, as it was recorded.
    """
    subject, threshold, seed = config["subject"], config["threshold"], config["seed"]
    settings = dict(cast("Mapping[str, object]", config["benchmark"]))
    benchmark = str(settings.pop("_target_")).rpartition(".")[2]
    is_prmbench = benchmark == "PrmBench"
    has_scores = subject != "judge"
    failed = [item.failure for item in results if item.failure is not None]
    unreadable = [
        verdict for item in results for verdict in item.verdicts if isinstance(verdict, Failure)
    ]
    options: dict[str, Any] = {"seed": seed, "num_resamples": num_resamples}
    first_errors = (
        None if is_prmbench else first_error_report(results, threshold=threshold, **options)
    )
    is_pool = benchmark == "Samples"
    return Evaluation(
        model=_model(config, settings),
        subject=subject,
        benchmark=benchmark,
        benchmark_settings=settings,
        threshold=threshold if has_scores else None,
        num_votes=None if has_scores else config["num_votes"],
        seed=seed,
        num_cases=len(results),
        is_complete=is_complete,
        num_failed=len(failed),
        num_unreadable_critiques=len(unreadable),
        failures=dict(Counter(item.kind for item in [*failed, *unreadable])),
        first_errors=first_errors,
        f1_by_threshold=tuple(zip(THRESHOLDS, f1_by_threshold(results), strict=True))
        if first_errors and has_scores
        else (),
        prmbench=prmbench_report(results, threshold=threshold, **options) if is_prmbench else None,
        best_of_n=best_of_n_report(results, **options) if is_pool else None,
        bias=() if is_prmbench else bias_report(results, threshold=threshold, **options),
        tokens_computed=sum(
            item.usage.prompt_tokens - item.usage.cached_tokens + item.usage.generated_tokens
            for item in results
        ),
    )


def read_evaluation(
    directory: Path, *, threshold: float | None = None, num_resamples: int = NUM_RESAMPLES
) -> Evaluation:
    """The numbers of a run directory, whether the evaluation has ended or not.

    Args:
        threshold: another one than was declared for the run.

    Raises:
        StoreError: if there is no evaluation, or a record cannot be read.
    """
    config = load_config(directory)
    if config is None or "subject" not in config:
        raise StoreError(f"{directory} holds no evaluation; prm-search evaluate makes one")
    if threshold is not None:
        config = {**config, "threshold": threshold}
    found = read_results(directory)
    return evaluate_results(
        found.results, config, is_complete=found.is_finished, num_resamples=num_resamples
    )


def write_evaluation(directory: Path, evaluation: Evaluation) -> Path:
    """Write `evaluation.json` into a run directory, in one step."""
    path = directory / EVALUATION
    draft = path.with_name(f"{EVALUATION}.draft")
    text = json.dumps(evaluation.to_json(), indent=2, ensure_ascii=False, allow_nan=False)
    draft.write_text(text + "\n")
    draft.replace(path)
    return path


def _model(config: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """The name of what was evaluated, in as many words as tell it."""
    part = config.get("judge" if config["subject"] == "judge" else "prm")
    if config["subject"] == "recorded":
        source = load_config(Path(str(settings["run_dir"])).expanduser()) or {}
        part = source.get("prm")
    model = cast("Mapping[str, object]", part or {}).get("model")
    if not model or model == "???":
        return str(settings["run_dir"]) if config["subject"] == "recorded" else "?"
    # A path of this machine by its last two parts, like owner/name.
    return "/".join(Path(str(model)).parts[-2:])
