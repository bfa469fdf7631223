from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from prm_search.aggregation import Aggregation
from prm_search.errors import DataError
from prm_search.evaluation.best_of_n import best_of_n_report
from prm_search.evaluation.processbench import first_error_report
from prm_search.evaluation.result import CaseResult
from prm_search.statistics import Estimate
from prm_search.studies.lessons.draws import draws, estimate
from prm_search.studies.lessons.findings import (
    TRAINED,
    Claim,
    Finding,
    Verdict,
    findings,
    rank_agreement,
    values_of,
)
from prm_search.types import Usage
from tests.evaluation.results import result

K = 2


def claim(low: float, high: float, *by_seed: float) -> Claim:
    value = (low + high) / 2
    return Claim(
        text="F1 of a − b",
        difference=Estimate(value=value, low=low, high=high),
        by_seed=by_seed or (value,),
    )


UP, DOWN, OPEN = claim(0.01, 0.05), claim(-0.05, -0.01), claim(-0.01, 0.05)


@pytest.mark.parametrize(
    ("found", "verdict", "words"),
    [
        (UP, Verdict.HOLDS, "holds"),
        (DOWN, Verdict.CONTRADICTED, "does not hold"),
        (OPEN, Verdict.UNDECIDED, "undecided: the interval contains 0"),
        (claim(0.0, 0.1), Verdict.UNDECIDED, "undecided: the interval contains 0"),
        (claim(0.01, 0.05, 0.09, -0.03), Verdict.UNDECIDED, "undecided: the seeds disagree"),
        (claim(-0.05, -0.01, -0.09, 0.03), Verdict.UNDECIDED, "undecided: the seeds disagree"),
        (Claim(text="x", difference=None, by_seed=()), Verdict.UNDECIDED, "not defined"),
    ],
)
def test_a_claim_says_what_its_interval_and_its_seeds_say(
    found: Claim, verdict: Verdict, words: str
) -> None:
    assert found.verdict is verdict
    assert found.outcome == words


@pytest.mark.parametrize(
    ("claims", "verdict"),
    [
        ([UP], Verdict.HOLDS),
        ([UP, UP], Verdict.HOLDS),
        ([UP, OPEN], Verdict.IN_PART),
        ([UP, DOWN], Verdict.IN_PART),
        ([DOWN, OPEN], Verdict.CONTRADICTED),
        ([OPEN, OPEN], Verdict.UNDECIDED),
    ],
)
def test_a_finding_holds_if_all_its_claims_do(claims: list[Claim], verdict: Verdict) -> None:
    found = Finding(title="t", paper="p", claims=tuple(claims), beside=(DOWN,))
    assert found.verdict is verdict


def pool(
    seed: int, *, error_accuracy: float, last: float = 0.9, middle: float = 0.9
) -> list[CaseResult]:
    """Solutions of 40 problems to a PRM that finds first errors with some probability.

    Args:
        last: score of the last step of a right answer; that of a wrong one is 0.8.
        middle: score of the step before the last of a right answer; of a wrong one it is 0.8.
    """
    rng = random.Random(seed)
    found: list[CaseResult] = []
    for number in range(40):
        for sample in range(4):
            is_flawed, is_right = sample % 2 == 0, sample < 2
            start = 0.1 if is_flawed and rng.random() < error_accuracy else 0.9
            ending = [middle, last] if is_right else [0.8, 0.8]
            found.append(
                result(
                    f"{number}/{sample}",
                    problem=f"{number}",
                    subset=f"level {number % 2}",
                    first_error=0 if is_flawed else None,
                    scores=[start, *ending],
                    is_right=is_right,
                    answer="1" if is_right else "0",
                    num_tokens=10,
                    usage=Usage(prompt_tokens=10),
                )
            )
    return found


def found_with(pools: dict[str, list[CaseResult]]) -> Sequence[Finding]:
    drawn = draws(pools, k=K, threshold=0.5, num_resamples=300)
    return findings(drawn, [drawn], k=K)


def all_pools(**accuracies: float) -> dict[str, list[CaseResult]]:
    return {
        source: pool(place, error_accuracy=accuracies.get(source, 0.5))
        for place, source in enumerate(TRAINED)
    }


def test_findings_flip_with_the_data() -> None:
    good = found_with(all_pools(mc_hard=0.2, consensus_hard=0.9, consensus_soft=0.5))
    assert [item.verdict for item in good[:2]] == [Verdict.HOLDS, Verdict.HOLDS]
    bad = found_with(all_pools(mc_hard=0.9, consensus_hard=0.2, consensus_soft=0.5))
    assert [item.verdict for item in bad[:2]] == [Verdict.CONTRADICTED, Verdict.CONTRADICTED]
    same = {source: pool(0, error_accuracy=0.5) for source in TRAINED}
    equal = found_with(same)
    assert [item.verdict for item in equal[:2]] == [Verdict.UNDECIDED] * 2


def test_the_best_aggregation_is_looked_for_by_source() -> None:
    pools = all_pools()
    for source in ("mc_hard", "mc_soft"):  # only the last step tells right from wrong answers
        pools[source] = pool(1, error_accuracy=0.5, last=0.95, middle=0.3)
    for source in ("judge", "consensus_hard", "consensus_soft"):
        pools[source] = pool(1, error_accuracy=0.0, last=0.7, middle=0.98)
    third = found_with(pools)[2]
    gaps = [item.difference for item in third.claims]
    assert [gap.value > 0 if gap else None for gap in gaps[:2]] == [True, True]
    assert third.claims[0].verdict is Verdict.HOLDS
    assert "by last − by product" in third.claims[0].text
    assert "by product − by last" in third.claims[2].text


def test_the_spread_decides_whether_best_of_n_hides_something() -> None:
    wide = found_with(
        all_pools(mc_hard=0.1, mc_soft=0.3, judge=0.6, consensus_hard=0.95, consensus_soft=0.8)
    )
    assert wide[3].verdict is Verdict.HOLDS
    values = values_of(wide)
    assert values[3]["verdict"] == "holds"
    assert values[0].keys() == {"title", "paper", "verdict", "claims", "beside"}


def test_draws_agree_with_the_reports_of_an_evaluation() -> None:
    pools = all_pools(mc_hard=0.3)
    drawn = draws(pools, k=K, threshold=0.5, num_resamples=500)
    for source, items in pools.items():
        report, samples = first_error_report(items, threshold=0.5), best_of_n_report(items)
        assert report is not None
        assert report.mean_f1 is not None
        assert samples is not None
        own = estimate(drawn.f1(source))
        assert own is not None
        assert own.value == pytest.approx(report.mean_f1.value)
        assert own.low == pytest.approx(report.mean_f1.low, abs=0.03)
        for how in Aggregation:
            (point,) = [item for item in samples.of(str(how)) if item.k == K]
            assert drawn.best_of_k(source, how)[0] == pytest.approx(point.accuracy.value)


def test_equal_orders_agree_and_opposite_ones_do_not() -> None:
    drawn = draws(all_pools(), k=K, threshold=0.5, num_resamples=50)
    tau = rank_agreement(drawn)
    assert tau is not None
    assert -1 <= tau.low <= tau.value <= tau.high <= 1


def test_prms_that_saw_different_solutions_are_not_compared() -> None:
    pools = all_pools()
    pools["judge"] = pools["judge"][:-1]
    with pytest.raises(DataError, match="not asked about the same solutions"):
        draws(pools, k=K, threshold=0.5)
