"""The report of the study: what is printed, and what the HTML page shows."""

from __future__ import annotations

from collections.abc import Iterator

from prm_search.reporting.evaluation_plot import Chart, Dot, Series, chart
from prm_search.reporting.evaluation_table import percent
from prm_search.statistics import Estimate
from prm_search.studies.lessons.findings import Claim, points
from prm_search.studies.page import Section, StudyReport
from prm_search.studies.rprm.results import Judgement, RPrmResults
from prm_search.studies.rprm.seed_data import DPO, HEAD, RPRMS, SFT
from prm_search.studies.stage import minutes

_COLORS = {HEAD: 1, SFT: 2, DPO: 3}
_ADAPTIVE_COLORS = {SFT: 6, DPO: 7}
_INTERVALS = "95 % intervals, bootstrap over problems, which leaves the chance of training out"


def rprm_report(results: RPrmResults, *, is_quick: bool, num_seeds: int) -> StudyReport:
    """The report.

    Args:
        results: of the seeds that are done.
        is_quick: whether the sizes are those of a try.
        num_seeds: that the study shall have.
    """
    return StudyReport(
        title="R-PRMs and discriminative PRMs of the same labels, in the sandbox",
        lead=_lead(results, num_seeds),
        sections=(
            _findings(results, is_quick=is_quick),
            _paper(results),
            _learned(results),
            _first_errors(results),
            _adaptive(results),
            _equal_tokens(results),
            Section(
                title="Plots",
                charts=tuple(item for item in (_by_number(results), _by_tokens(results)) if item),
            ),
            _cost(results),
        ),
        values={"is_quick": is_quick, "num_seeds": num_seeds, **results.to_json()},
    )


def _lead(results: RPrmResults, num_seeds: int) -> str:
    unfinished = f" of {num_seeds}" if len(results.seeds) < num_seeds else ""
    return (
        f"After arXiv 2503.21295. {len(results.seeds)}{unfinished} seeds, which share the labeled "
        "steps and the teacher's analyses; each has trainings and test problems of its own. The "
        f"three PRMs of a seed learn from the same labels and judge the same {results.k} samples "
        f"of each of {results.num_problems:,} test problems in all. Of each step every R-PRM "
        "writes 32 analyses, once: fewer are the first of these."
    )


def _findings(results: RPrmResults, *, is_quick: bool) -> Section:
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
    return Section(
        title="Does it hold here?",
        text=tuple(texts),
        columns=("finding", "here", "", "difference in points", "in each seed"),
        rows=tuple(rows),
        note=(
            "A claim holds if its interval lies above 0 and each seed has the sign; it does not "
            "hold if all lies below; else it is undecided. A finding holds if all claims do that "
            f"decide. R-PRMs have K={results.num_analyses} analyses of each step where nothing "
            "else is said; best-of and guided searches are shares of solved problems; best-of by "
            f"the product of step scores. {_INTERVALS}."
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


def _paper(results: RPrmResults) -> Section:
    return Section(
        title="What the paper reports",
        columns=("finding", "numbers"),
        rows=tuple((item.title, item.paper) for item in results.findings),
        is_prose=True,
    )


def _learned(results: RPrmResults) -> Section:
    return Section(
        title="What was learned from",
        columns=("", "in each seed"),
        rows=tuple(
            (name, " ".join(f"{number:,}" for number in numbers))
            for name, numbers in results.learned.items()
        ),
        note="Analyses and pairs are those whose verdicts can be read and agree, or disagree, "
        "with the label; right and wrong steps in equal number.",
    )


def _first_errors(results: RPrmResults) -> Section:
    fixed = [item for item in results.judgements if item.minus_same_number is None]
    return Section(
        title="First errors, and best-of by the same scores",
        columns=(
            *("PRM", "analyses", "F1", "by seed", f"best-of-{results.k}"),
            "PRM tokens per problem",
        ),
        rows=tuple(
            (
                item.prm,
                item.rule or "",
                percent(item.f1),
                _by_seed(item),
                percent(item.best_of_k),
                f"{item.tokens:,.0f}",
            )
            for item in fixed
        ),
        note=(
            "F1: ProcessBench's, unweighted mean over the levels, on the policy's own solutions. "
            f"A step counts as wrong below {results.threshold:g}; a solution with a step of which "
            f"no analysis can be read counts as wrongly judged. Percent; {_INTERVALS}."
        ),
    )


def _adaptive(results: RPrmResults) -> Section:
    rows = [
        (
            item.prm,
            item.rule or "",
            _number(item.num_analyses),
            percent(item.f1),
            "–" if item.minus_most is None else points(item.minus_most),
            f"K={item.same_number}: {points(item.minus_same_number)}",
            _matching(results, item),
        )
        for item in results.judgements
        if item.minus_same_number is not None
    ]
    return Section(
        title="As many analyses as it takes",
        columns=(
            *("PRM", "stops", "mean analyses", "F1", "F1 − F1 of 32"),
            *("F1 − F1 of as many for all", "as good: fixed"),
        ),
        rows=tuple(rows),
        note=(
            "The rule of prm.confidence, applied to the recorded analyses of each step. As many "
            "for all: the mean, rounded up. As good: the fewest fixed analyses with at least this "
            f"F1. {_INTERVALS}."
        ),
    )


def _matching(results: RPrmResults, adaptive: Judgement) -> str:
    """The fewest fixed analyses with at least the F1 of a rule that stops early."""
    if adaptive.f1 is None:
        return "–"
    for item in results.of(adaptive.prm):
        is_fixed = item.minus_same_number is None
        if is_fixed and item.f1 is not None and item.f1.value >= adaptive.f1.value:
            return item.rule or "–"
    return "none"


def _equal_tokens(results: RPrmResults) -> Section:
    rows: list[tuple[str, ...]] = []
    for item in results.at_equal_tokens:
        cost = item.cost
        short = " (all)" if cost.is_short else ""
        rows.append(
            (
                item.name,
                percent(item.solved),
                f"{cost.tokens:,.0f}",
                f"{cost.num_votes}{short}: {_difference(item.minus_votes)}",
                f"{cost.num_choices}: {_difference(item.minus_choices)}",
            )
        )
    return Section(
        title="Problems solved, at equal tokens",
        columns=(
            *("", "solved", "tokens per problem"),
            "− majority of as many tokens",
            "− best-of by the discriminative PRM, likewise",
        ),
        rows=tuple(rows),
        note=(
            "Tokens: written by the policy, and computed by the PRM (prompts that were not "
            f"cached, and analyses). The policy writes {results.policy_tokens_per_sample:,.0f} a "
            f"sample. There are {results.num_samples} samples of each problem: (all) marks what "
            f"could pay for more of them. Percent and points; {_INTERVALS}."
        ),
    )


def _by_number(results: RPrmResults) -> Chart | None:
    series = [
        Series(name=name, color=color, dots=tuple(dots), is_dashed=is_dashed)
        for name, color, dots, is_dashed in _curves(results)
    ]
    return chart(
        series,
        title="F1 by analyses of a step: fixed, and until the verdict is settled",
        x_label="analyses of a step, on average",
        is_log=True,
    )


def _curves(results: RPrmResults) -> Iterator[tuple[str, int, list[Dot], bool]]:
    (head,) = results.of(HEAD)
    if head.f1 is not None:
        ends = [Dot(x=x, y=head.f1.value, note=f"{HEAD}: F1 {percent(head.f1)}") for x in (1, 32)]
        yield HEAD, _COLORS[HEAD], ends, True
    for prm in RPRMS:
        for is_fixed in (True, False):
            dots = [
                Dot(
                    x=item.num_analyses.value,
                    y=item.f1.value,
                    low=item.f1.low if is_fixed else None,
                    high=item.f1.high if is_fixed else None,
                    note=f"{prm}, {item.rule}: F1 {percent(item.f1)}",
                )
                for item in results.of(prm)
                if (item.minus_same_number is None) is is_fixed and item.f1 and item.num_analyses
            ]
            dots.sort(key=lambda dot: dot.x)
            name, colors = (prm, _COLORS) if is_fixed else (f"{prm}, settled", _ADAPTIVE_COLORS)
            yield name, colors[prm], dots, False


def _by_tokens(results: RPrmResults) -> Chart | None:
    ways = [item for item in results.at_equal_tokens if item.solved and item.cost.tokens > 0]
    votes = sorted(
        (item for item in ways if not item.cost.is_short), key=lambda item: item.cost.tokens
    )
    series = [
        Series(
            name=item.name,
            color=place % 8,
            dots=(
                Dot(
                    x=item.cost.tokens,
                    y=item.solved.value,
                    low=item.solved.low,
                    high=item.solved.high,
                    note=f"{item.name}: {percent(item.solved)}",
                ),
            ),
        )
        for place, item in enumerate(ways, start=1)
        if item.solved
    ]
    majority = tuple(
        Dot(x=item.cost.tokens, y=item.by_votes.value, note=f"majority of {item.cost.num_votes}")
        for item in votes
        if item.by_votes
    )
    return chart(
        [Series(name="majority", color=0, dots=majority, is_dashed=True), *series],
        title="Problems solved by tokens",
        x_label="tokens per problem: policy and PRM",
        is_log=True,
    )


def _cost(results: RPrmResults) -> Section:
    total = sum(results.seconds.values())
    return Section(
        title="What it took",
        columns=("kind of stage", "time"),
        rows=(
            *((kind, minutes(value)) for kind, value in results.seconds.items()),
            ("all", minutes(total)),
        ),
    )


def _by_seed(item: Judgement) -> str:
    return " ".join(f"{100 * value:.1f}" for value in item.f1_by_seed)


def _number(found: Estimate | None) -> str:
    return "–" if found is None else f"{found.value:.1f} [{found.low:.1f}, {found.high:.1f}]"


def _difference(found: Estimate | None) -> str:
    return "–" if found is None else points(found)
