"""What the paper found, and whether it is found here.

A claim is a difference that is above zero if it is right. It holds if the whole 95 % interval
of the difference lies above zero and each seed has the sign; it is contradicted if all of that
lies below; otherwise it is undecided. What is claimed was fixed before anything was measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from prm_search.aggregation import Aggregation
from prm_search.statistics import Estimate
from prm_search.studies.lessons.draws import Array, Draws, Quantity, estimate
from prm_search.studies.lessons.sources import (
    CONSENSUS_HARD,
    CONSENSUS_SOFT,
    JUDGE,
    MC_HARD,
    MC_SOFT,
)

TRAINED = (MC_HARD, MC_SOFT, JUDGE, CONSENSUS_HARD, CONSENSUS_SOFT)
"""The PRMs that learn from labels that one could have without an oracle."""
CHOICE = Aggregation.product
"""How step scores are put together in best-of-8 where nothing else is said, as in the paper."""


class Verdict(StrEnum):
    """Whether something holds."""

    HOLDS = "holds"
    CONTRADICTED = "does not hold"
    IN_PART = "holds in part"
    UNDECIDED = "undecided"


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """A difference, and what it is if the claim is right: above zero."""

    text: str
    difference: Estimate | None
    """In [-1, 1], paired over problems. None if it is not defined."""
    by_seed: tuple[float, ...]
    """The difference in each seed alone."""

    @property
    def verdict(self) -> Verdict:
        """What the difference says."""
        if self.difference is None:
            return Verdict.UNDECIDED
        if self.difference.low > 0 and all(value > 0 for value in self.by_seed):
            return Verdict.HOLDS
        if self.difference.high < 0 and all(value < 0 for value in self.by_seed):
            return Verdict.CONTRADICTED
        return Verdict.UNDECIDED

    @property
    def outcome(self) -> str:
        """The verdict, and why there is none."""
        found, verdict = self.difference, self.verdict
        if found is None:
            return "not defined"
        if verdict is not Verdict.UNDECIDED:
            return str(verdict)
        contains = found.low <= 0 <= found.high
        return f"undecided: {'the interval contains 0' if contains else 'the seeds disagree'}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """A finding of the paper, and what is found here."""

    title: str
    paper: str
    """What the paper reports."""
    claims: tuple[Claim, ...]
    """These decide."""
    beside: tuple[Claim, ...] = ()
    """These are of interest and decide nothing."""

    @property
    def verdict(self) -> Verdict:
        """Whether it holds here."""
        verdicts = {claim.verdict for claim in self.claims}
        if len(verdicts) == 1:
            return verdicts.pop()
        if Verdict.HOLDS in verdicts:
            return Verdict.IN_PART
        return Verdict.CONTRADICTED if Verdict.CONTRADICTED in verdicts else Verdict.UNDECIDED


def findings(pooled: Draws, by_seed: Sequence[Draws], *, k: int) -> tuple[Finding, ...]:
    """The four findings of the paper.

    Args:
        pooled: all seeds together.
        by_seed: each seed alone.
        k: of best-of-k.
    """

    def claim(text: str, quantity: Quantity) -> Claim:
        return Claim(
            text=text,
            difference=estimate(quantity(pooled)),
            by_seed=tuple(float(quantity(item)[0]) for item in by_seed),
        )

    def f1_gap(first: str, second: str) -> Claim:
        return claim(f"F1 of {first} − {second}", lambda d: d.f1(first) - d.f1(second))

    def choice_gap(first: str, second: str) -> Claim:
        return claim(
            f"best-of-{k} of {first} − {second}",
            lambda d: d.best_of_k(first, CHOICE) - d.best_of_k(second, CHOICE),
        )

    def how_gap(source: str, first: Aggregation, second: Aggregation) -> Claim:
        return claim(
            f"best-of-{k} of {source} by {first} − by {second}",
            lambda d: d.best_of_k(source, first) - d.best_of_k(source, second),
        )

    last, product, least = Aggregation.last, Aggregation.product, Aggregation.min
    strict = (JUDGE, CONSENSUS_HARD, CONSENSUS_SOFT)
    return (
        Finding(
            title="1. Consensus beats Monte-Carlo labels at step level",
            paper="ProcessBench F1 66.5 against 40.2 with hard labels of 3M responses, 1.5M kept "
            "(46.3 against 40.1 of 860k; judge 46.5).",
            claims=(f1_gap(CONSENSUS_HARD, MC_HARD),),
            beside=(f1_gap(CONSENSUS_SOFT, MC_SOFT), f1_gap(CONSENSUS_HARD, JUDGE)),
        ),
        Finding(
            title="2. Hard labels beat soft ones after filtering",
            paper="After filtering F1 66.5 against 49.3 and best-of-8 67.2 against 65.4; before it "
            "no difference (40.2 and 40.2).",
            claims=(f1_gap(CONSENSUS_HARD, CONSENSUS_SOFT),),
            beside=(choice_gap(CONSENSUS_HARD, CONSENSUS_SOFT), f1_gap(MC_HARD, MC_SOFT)),
        ),
        Finding(
            title="3. Monte-Carlo PRMs want `last`, judge and consensus PRMs `product` or `min`",
            paper="Best-of-8 by min, product, last: Monte-Carlo hard labels 64.0, 65.5, 66.9, soft "
            "63.7, 64.4, 65.5; judge 65.6, 65.3, 65.3; consensus (PRM-7B) 67.1, 67.6, 66.1.",
            claims=(
                *(how_gap(source, last, product) for source in (MC_HARD, MC_SOFT)),
                *(how_gap(source, product, last) for source in strict),
            ),
            beside=tuple(how_gap(source, least, last) for source in TRAINED),
        ),
        Finding(
            title="4. Best-of-N hides what step-level metrics show",
            paper="From Monte-Carlo to consensus labels, F1 rises by 26.3 points and best-of-8 by "
            "1.8; of four PRMs the best in best-of-8 is not the best in finding errors.",
            claims=(
                claim(
                    f"spread (standard deviation) of the {len(TRAINED)} PRMs without the oracle's "
                    f"in F1 − in best-of-{k}",
                    lambda d: _spread(_f1s(d)) - _spread(_choices(d)),
                ),
            ),
            beside=(
                choice_gap(CONSENSUS_HARD, MC_HARD),
                claim(
                    f"gap of {CONSENSUS_HARD} and {MC_HARD} in F1 − in best-of-{k}",
                    lambda d: (
                        d.f1(CONSENSUS_HARD)
                        - d.f1(MC_HARD)
                        - d.best_of_k(CONSENSUS_HARD, CHOICE)
                        + d.best_of_k(MC_HARD, CHOICE)
                    ),
                ),
            ),
        ),
    )


def rank_agreement(pooled: Draws) -> Estimate | None:
    """Kendall's tau of the orders of the PRMs by F1 and by best-of-k: 1 same, -1 opposite."""
    return estimate(_tau(_f1s(pooled), _choices(pooled)))


def values_of(found: Sequence[Finding]) -> list[Mapping[str, object]]:
    """The findings as plain values."""
    return [
        {
            "title": item.title,
            "paper": item.paper,
            "verdict": str(item.verdict),
            "claims": [_values(claim) for claim in item.claims],
            "beside": [_values(claim) for claim in item.beside],
        }
        for item in found
    ]


def _values(claim: Claim) -> Mapping[str, object]:
    found = claim.difference
    return {
        "text": claim.text,
        "difference": None if found is None else found.value,
        "interval": None if found is None else found.interval,
        "by_seed": list(claim.by_seed),
        "verdict": str(claim.verdict),
    }


def _f1s(item: Draws) -> Array:
    return np.stack([item.f1(source) for source in TRAINED])


def _choices(item: Draws) -> Array:
    return np.stack([item.best_of_k(source, CHOICE) for source in TRAINED])


def _spread(values: Array) -> Array:
    """Standard deviation over the PRMs. [num_prms, n] -> [n]"""
    return np.std(values, axis=0)


def _tau(first: Array, second: Array) -> Array:
    """[num_prms, n], [num_prms, n] -> [n]"""
    left, right = np.triu_indices(len(first), 1)
    signs = np.sign(first[left] - first[right]) * np.sign(second[left] - second[right])
    return np.mean(signs, axis=0)


def points(found: Estimate) -> str:
    """A difference in percentage points with its interval."""
    return f"{100 * found.value:+.1f} [{100 * found.low:+.1f}, {100 * found.high:+.1f}]"
