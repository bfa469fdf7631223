"""The report of the study: what is printed, and what the HTML page shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prm_search.aggregation import Aggregation
from prm_search.evaluation.best_of_n import MAJORITY, PASS, Point
from prm_search.reporting.evaluation_plot import Chart, Dot, Series, chart
from prm_search.reporting.evaluation_table import percent, plain
from prm_search.studies.lessons.findings import CHOICE, Claim, points
from prm_search.studies.lessons.results import LessonsResults, PrmResult
from prm_search.studies.lessons.sources import (
    CONSENSUS_HARD,
    CONSENSUS_SOFT,
    JUDGE,
    MC_HARD,
    MC_SOFT,
    ORACLE,
)
from prm_search.studies.page import Section, StudyReport
from prm_search.studies.stage import minutes

_COLORS = {MC_HARD: 1, MC_SOFT: 6, JUDGE: 2, CONSENSUS_HARD: 3, CONSENSUS_SOFT: 7, ORACLE: 5}
_OTHER_COLOR = 4
_INTERVALS = "95 % intervals, bootstrap over problems"


def lessons_report(
    results: LessonsResults, *, is_quick: bool, num_updates: int, num_seeds: int
) -> StudyReport:
    """The report.

    Args:
        results: of the seeds that are done.
        is_quick: whether the sizes are those of a try.
        num_updates: of each training.
        num_seeds: that the study shall have.
    """
    return StudyReport(
        title="Lessons of developing PRMs, in the sandbox",
        lead=_lead(results, num_updates, num_seeds),
        sections=(
            _findings(results, is_quick=is_quick),
            _paper(results),
            _labels(results, num_updates),
            _sweep(results),
            _first_errors(results),
            _best_of_k(results),
            _bias(results),
            Section(
                title="Plots",
                charts=tuple(
                    item
                    for item in (_against(results), _choices(results), _by_threshold(results))
                    if item
                ),
            ),
            _cost(results),
        ),
        values={
            "is_quick": is_quick,
            "num_seeds": num_seeds,
            "num_updates": num_updates,
            **results.to_json(),
        },
    )


def _lead(results: LessonsResults, num_updates: int, num_seeds: int) -> str:
    first = results.prms[0].best_of_n
    unfinished = f" of {num_seeds}" if len(results.seeds) < num_seeds else ""
    return (
        f"After arXiv 2501.07301. All PRMs learn from the same {results.num_responses:,} responses "
        "of the same policy, as far as the source of their labels keeps them, in "
        f"{num_updates:,} updates each. All labels but the oracle's come from the same rollouts "
        f"and the same critiques. {len(results.seeds)}{unfinished} seeds, each with trainings and "
        f"test problems of its own; the PRMs of a seed are evaluated on the same "
        f"{first.num_samples} samples of each problem, {first.num_problems:,} problems in all."
    )


def _findings(results: LessonsResults, *, is_quick: bool) -> Section:
    texts: list[str] = []
    if is_quick:
        texts.append(
            "This is the quick study. It shows that everything works; it is too small to decide "
            "anything, whatever stands below."
        )
    elif len(results.seeds) < 2:
        texts.append("One seed alone: how much the chance of a training matters is not known.")
    rows: list[tuple[str, ...]] = []
    for item in results.findings:
        rows.append((item.title, str(item.verdict).upper(), "", "", ""))
        rows += [_row(claim, decides="decides") for claim in item.claims]
        rows += [_row(claim, decides="beside") for claim in item.beside]
    tau = results.rank_agreement
    agreement = "" if tau is None else f"{tau.value:+.2f} [{tau.low:+.2f}, {tau.high:+.2f}]"
    return Section(
        title="Does it hold here?",
        text=tuple(texts),
        columns=("finding of the paper", "here", "", "difference in points", "in each seed"),
        rows=tuple(rows),
        note=(
            "A claim holds if its interval lies above 0 and each seed has the sign; it does not "
            "hold if all lies below; else it is undecided. A finding holds if all claims do that "
            f"decide. Best-of-{results.k} by {CHOICE} where nothing else is said. {_INTERVALS}: "
            "the chance of training is seen in the seeds, that of the labeled responses nowhere. "
            f"The orders of the five PRMs by F1 and by best-of-{results.k} agree with Kendall's "
            f"tau {agreement}."
        ),
    )


def _row(claim: Claim, *, decides: str) -> tuple[str, ...]:
    found = claim.difference
    return (
        f"  {claim.text}",
        claim.outcome,
        decides,
        "–" if found is None else points(found),
        " ".join(f"{100 * value:+.1f}" for value in claim.by_seed),
    )


def _paper(results: LessonsResults) -> Section:
    return Section(
        title="What the paper reports",
        columns=("finding", "numbers"),
        rows=tuple((item.title, item.paper) for item in results.findings),
        is_prose=True,
    )


def _labels(results: LessonsResults, num_updates: int) -> Section:
    left_out = ", ".join(f"{number} {reason}" for reason, number in results.left_out.items())
    return Section(
        title="How true the labels are",
        columns=(
            *("labels", "kept", "retention", "error acc.", "correct acc.", "F1"),
            "right where held right",
        ),
        rows=tuple(
            (
                item.source,
                f"{item.num_kept:,} ({item.num_errors:,} flawed)",
                percent(item.retention),
                percent(item.error_accuracy),
                percent(item.correct_accuracy),
                percent(item.f1),
                percent(item.soundness),
            )
            for item in results.labels
        ),
        note=(
            "Labels against the oracle, on the responses that a source keeps, as ProcessBench "
            "counts. Where a source keeps fewer, its PRM sees fewer responses more often: all have "
            f"{num_updates:,} updates of the same size. Left out of all sources: "
            f"{left_out or 'none'}. Percent; {_INTERVALS}."
        ),
    )


def _sweep(results: LessonsResults) -> Section:
    trained = {item.source: item for item in results.prms}
    rows: list[tuple[str, ...]] = []
    for threshold, quality in results.sweep:
        prm = trained.get(MC_HARD if threshold == 0 else quality.source)
        point = None if prm is None else _at_k(prm, str(CHOICE), results.k)
        rows.append(
            (
                f"> {threshold:g}",
                percent(quality.error_accuracy),
                percent(quality.correct_accuracy),
                percent(quality.f1),
                "–" if prm is None else percent(prm.first_errors.mean_f1),
                "–" if point is None else percent(point.accuracy),
            )
        )
    return Section(
        title="Monte-Carlo hard labels by threshold",
        columns=(
            *("right if the share is", "labels: error acc.", "correct acc.", "F1"),
            *("PRM: F1", f"best-of-{results.k}"),
        ),
        rows=tuple(rows),
        note=(
            "Labels against the oracle, from the same rollouts; PRMs for the thresholds that were "
            "trained. The paper trained all eight: F1 falls from 40.2 at 0 to 29.5 at 7/8, "
            f"best-of-8 from 65.5 to 64.4. Percent; {_INTERVALS}."
        ),
    )


def _first_errors(results: LessonsResults) -> Section:
    levels = [subset.name for subset in results.prms[0].first_errors.subsets]
    rows = tuple(
        (
            prm.source,
            percent(prm.first_errors.mean_f1),
            " ".join(f"{100 * value:.1f}" for value in prm.f1_by_seed),
            *(plain(subset.f1) for subset in prm.first_errors.subsets),
        )
        for prm in results.prms
    )
    return Section(
        title="First errors: ProcessBench's F1 on the policy's own solutions",
        columns=("PRM trained on", "mean F1", "by seed", *levels),
        rows=rows,
        note=(
            "F1: harmonic mean of the accuracies with and without an error; the mean is unweighted "
            f"over the levels. A step counts as wrong below {results.threshold:g}. Percent; "
            f"{_INTERVALS}."
        ),
    )


def _best_of_k(results: LessonsResults) -> Section:
    k = results.k
    rows: list[tuple[str, ...]] = []
    for prm in results.prms:
        points = {str(how): _at_k(prm, str(how), k) for how in Aggregation}
        product = points[str(CHOICE)]
        rows.append(
            (
                prm.source,
                *(percent(point.accuracy) if point else "–" for point in points.values()),
                _equal(product),
            )
        )
    first = results.prms[0]
    baselines = {name: _at_k(first, name, k) for name in (PASS, MAJORITY)}
    bounds = ", ".join(
        f"{name}@{k} {percent(point.accuracy)}" for name, point in baselines.items() if point
    )
    return Section(
        title=f"Best of {k}, by how step scores are put together",
        columns=(
            "PRM trained on",
            *map(str, Aggregation),
            "majority at the same tokens; product is better by",
        ),
        rows=tuple(rows),
        note=(
            f"One pool of samples for all: {bounds}. Means over the subsets of {k} samples. The "
            "tokens that the PRM computes count too, so majority gets more samples for them. "
            f"Percent; {_INTERVALS}."
        ),
    )


def _equal(point: Point | None) -> str:
    if point is None or point.equal_tokens is None:
        return "pool too small"
    equal = point.equal_tokens
    gap = equal.difference
    return (
        f"{plain(equal.majority)} (k={equal.k}); {100 * gap.value:+.1f} "
        f"[{100 * gap.low:+.1f}, {100 * gap.high:+.1f}]"
    )


def _bias(results: LessonsResults) -> Section:
    flawed = results.prms[0].bias
    return Section(
        title="Biases: what best-of-N does not show",
        text=(
            f"Of {flawed.num_right:,} samples with a right answer, "
            f"{percent(flawed.right_but_flawed)} % have a wrong step.",
        ),
        columns=("PRM trained on", "notices these", "names their first error", "minimum on last"),
        rows=tuple(
            (
                prm.source,
                percent(prm.bias.noticed),
                percent(prm.bias.located),
                percent(prm.bias.minimum_on_last_step),
            )
            for prm in results.prms
        ),
        note=(
            "Minimum on last: share of all samples whose last step scores lower than every other. "
            f"A step counts as wrong below {results.threshold:g}. Percent; {_INTERVALS}."
        ),
    )


def _cost(results: LessonsResults) -> Section:
    total = sum(results.seconds.values())
    return Section(
        title="What it took",
        columns=("kind of stage", "time"),
        rows=(
            *((kind, minutes(value)) for kind, value in results.seconds.items()),
            ("all", minutes(total)),
        ),
    )


def _against(results: LessonsResults) -> Chart | None:
    series: list[Series] = []
    for prm in results.prms:
        f1, point = prm.first_errors.mean_f1, _at_k(prm, str(CHOICE), results.k)
        if f1 is None or point is None:
            continue
        dot = Dot(
            x=f1.value,
            x_low=f1.low,
            x_high=f1.high,
            y=point.accuracy.value,
            low=point.accuracy.low,
            high=point.accuracy.high,
            note=f"{prm.source}: F1 {percent(f1)}, best-of-{results.k} {percent(point.accuracy)}",
        )
        series.append(Series(name=prm.source, color=_color(prm.source), dots=(dot,)))
    return chart(
        series,
        title=f"Best-of-{results.k} ({CHOICE}) against step-level F1",
        x_label="mean first-error F1",
        is_share=True,
    )


def _choices(results: LessonsResults) -> Chart | None:
    first = results.prms[0].best_of_n
    if first.policy_tokens_per_sample == 0:
        return None
    curves: Mapping[str, tuple[Point, ...]] = {
        MAJORITY: first.of(MAJORITY),
        **{prm.source: prm.best_of_n.of(str(CHOICE)) for prm in results.prms},
    }
    return chart(
        [
            Series(
                name=name,
                color=_color(name),
                is_dashed=name == MAJORITY,
                dots=tuple(
                    Dot(
                        x=point.tokens,
                        y=point.accuracy.value,
                        note=f"{name}, k={point.k}: {percent(point.accuracy)}",
                    )
                    for point in points
                ),
            )
            for name, points in curves.items()
        ],
        title=f"Accuracy by tokens, k = 1 … {first.num_samples}, {CHOICE} of step scores",
        x_label="tokens per problem: policy, and the PRM where it is used",
        is_log=True,
    )


def _by_threshold(results: LessonsResults) -> Chart | None:
    return chart(
        [
            Series(
                name=prm.source,
                color=_color(prm.source),
                dots=tuple(_threshold_dots(prm)),
            )
            for prm in results.prms
        ],
        title="Mean F1 by the score below which a step counts as wrong",
        x_label="threshold; the line marks the one that all numbers are for",
        mark=results.threshold,
    )


def _threshold_dots(prm: PrmResult) -> Iterator[Dot]:
    for threshold, f1 in prm.f1_by_threshold:
        if f1 is not None:
            yield Dot(x=threshold, y=f1, note=f"{prm.source}, {threshold:g}: F1 {100 * f1:.1f}")


def _at_k(prm: PrmResult, method: str, k: int) -> Point | None:
    return next((point for point in prm.best_of_n.of(method) if point.k == k), None)


def _color(name: str) -> int:
    return 0 if name == MAJORITY else _COLORS.get(name, _OTHER_COLOR)
