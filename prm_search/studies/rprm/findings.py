"""What the paper found, and what one would like to know beside, and whether it is found here.

What is claimed, and how a claim is decided, was fixed before anything was measured; see
`prm_search.studies.lessons.findings`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from prm_search.studies.lessons.draws import estimate
from prm_search.studies.lessons.findings import Claim, Finding
from prm_search.studies.rprm.columns import BEST, choices, guided, judged, votes
from prm_search.studies.rprm.draws import Array, Draws
from prm_search.studies.rprm.reading import Rule
from prm_search.studies.rprm.seed_data import DPO, HEAD, RPRMS, SFT

MOST = 32
"""Analyses of each step that are recorded."""
FIXED = (1, 2, 4, 8, 16, 32)
SURE = 0.95
"""The confidence that findings are about; further ones are beside."""
ADAPTIVE = tuple(Rule(most=MOST, confidence=value) for value in (0.9, SURE, 0.99, 1.0))


@dataclass(frozen=True, kw_only=True, slots=True)
class Matched:
    """What costs as much as something else."""

    name: str
    """Of what it is compared with."""
    tokens: float
    """Per problem."""
    num_votes: int
    """Samples of a majority vote for these tokens, or all samples if there are fewer."""
    num_choices: int
    """Samples that the discriminative PRM chooses among for these tokens, likewise."""
    is_short: bool
    """Whether the tokens would pay for more samples than there are."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What the claims are about."""

    k: int
    """Of best-of-k, and steps that a guided search chooses among."""
    rule: Rule
    """How many analyses an R-PRM has in what is compared with other PRMs."""
    best: Matched
    """For best-of-k by the DPO-trained R-PRM."""
    search: Matched
    """For the search guided by it."""
    same_number: int
    """Fixed analyses per step, not fewer than the mean of the rule that stops when it is sure."""


def findings(pooled: Draws, by_seed: Sequence[Draws], question: Question) -> tuple[Finding, ...]:
    """The four findings of the paper, and two that it leaves open.

    Args:
        pooled: all seeds together.
        by_seed: each seed alone.
    """
    k, rule = question.k, question.rule

    def value(kind: str, name: str, draws: Draws) -> Array:
        if kind == "F1":
            return draws.f1(name)
        return draws.mean(name, BEST if kind == f"best-of-{k}" else 0)

    def gap(kind: str, first: str, second: str, second_kind: str | None = None) -> Claim:
        other = second_kind or kind

        def difference(draws: Draws) -> Array:
            return value(kind, first, draws) - value(other, second, draws)

        text = f"{kind} of {first} − {second}"
        return Claim(
            text=text,
            difference=estimate(difference(pooled)),
            by_seed=tuple(float(difference(item)[0]) for item in by_seed),
        )

    best, search = f"best-of-{k}", "solved"
    read = {prm: judged(prm, rule) for prm in RPRMS}
    one, most = Rule(most=1), Rule(most=MOST)
    sure = Rule(most=MOST, confidence=SURE)
    same = Rule(most=question.same_number)
    head = judged(HEAD)
    return (
        Finding(
            title="1. An R-PRM beats a discriminative PRM of the same labels",
            paper="ProcessBench F1 from PRM800K's labels, ten analyses: SFT 65.2, DPO 70.4, "
            "discriminative (Qwen2.5-Math-7B-PRM800K) 56.5.",
            claims=(gap("F1", read[SFT], head), gap("F1", read[DPO], head)),
            beside=(
                gap("F1", judged(DPO, one), head),
                gap("F1", judged(DPO, most), head),
                gap(best, read[SFT], head),
            ),
        ),
        Finding(
            title="2. DPO on the model's own analyses beats SFT",
            paper="ProcessBench F1 70.4 against 65.2; PRMBench 66.8 against 64.9.",
            claims=(gap("F1", read[DPO], read[SFT]),),
            beside=(
                gap("F1", judged(DPO, one), judged(SFT, one)),
                gap("F1", judged(DPO, most), judged(SFT, most)),
                gap(best, read[DPO], read[SFT]),
                gap(search, guided(DPO), guided(SFT)),
            ),
        ),
        Finding(
            title="3. More analyses of a step help",
            paper="ProcessBench F1 by K = 1, 2, 4, 8, 16, 32: 61.3, 62.8, 67.6, 69.7, 70.8, 71.7.",
            claims=tuple(gap("F1", judged(prm, most), judged(prm, one)) for prm in RPRMS),
            beside=tuple(
                gap("F1", judged(DPO, Rule(most=more)), judged(DPO, Rule(most=less)))
                for less, more in pairwise(FIXED)
            ),
        ),
        Finding(
            title="4. An R-PRM guides and chooses better, for as many samples",
            paper="Mean of six benchmarks, N=8: guided search 49.4 by the R-PRM, 43.8 by "
            "Qwen2.5-Math-7B-PRM800K (46.8 by Qwen2.5-Math-PRM-7B); best-of-8 49.6, 47.7 and "
            "48.0. Majority of 8: 48.0. Its tokens are not counted.",
            claims=(gap(search, guided(DPO), guided(HEAD)), gap(best, read[DPO], head)),
            beside=(gap(search, guided(SFT), guided(HEAD)), gap(best, read[SFT], head)),
        ),
        Finding(
            title="5. It does so for as many tokens (not asked in the paper)",
            paper="–",
            claims=(
                gap(best, read[DPO], choices(question.best.num_choices), search),
                gap(best, read[DPO], votes(question.best.num_votes), search),
                gap(search, guided(DPO), choices(question.search.num_choices)),
                gap(search, guided(DPO), votes(question.search.num_votes)),
            ),
        ),
        Finding(
            title="6. Stopping when the verdict is settled is worth it (not asked in the paper)",
            paper="–",
            claims=(gap("F1", judged(DPO, sure), judged(DPO, same)),),
            beside=(
                gap("F1", judged(DPO, sure), judged(DPO, most)),
                gap("F1", judged(SFT, sure), judged(SFT, most)),
            ),
        ),
    )
