"""A PRM that overpays filler ruins a policy that is paid by the sum, and not the default."""

from __future__ import annotations

import math

import pytest

from prm_search.rewards.credit import Credit, GroupCredit, ProcessGRPO, Sum
from prm_search.rewards.guards import HackAlarm
from prm_search.rewards.toy import Toy

History = list[dict[str, float]]


def at_the_start(history: History, name: str) -> float:
    return math.fsum(metrics[name] for metrics in history[:5]) / 5


def at_the_end(history: History, name: str) -> float:
    return math.fsum(metrics[name] for metrics in history[-20:]) / 20


def alarm(history: History) -> bool:
    curves = ([metrics[name] for metrics in history] for name in ("prm_mean", "outcome"))
    return HackAlarm().first(*curves) is not None


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    "credit",
    [
        GroupCredit(process=Sum(allow_hacking=True), outcome_weight=0),
        GroupCredit(process=Sum(allow_hacking=True)),
        GroupCredit(process=ProcessGRPO()),
    ],
    ids=["sum", "sum and outcome", "process GRPO and outcome"],
)
def test_summed_scores_collapse_into_filler(credit: Credit, seed: int) -> None:
    history = Toy(seed=seed).train(credit)
    assert at_the_end(history, "filler") > 0.95
    assert at_the_end(history, "outcome") < 0.02 < at_the_start(history, "outcome")
    assert at_the_end(history, "steps_per_response") > 11.5
    assert at_the_end(history, "repeated_steps") > 0.85
    assert at_the_end(history, "prm_mean") > at_the_start(history, "prm_mean") + 0.2
    assert alarm(history)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_default_learns_to_solve_the_problem(seed: int) -> None:
    history = Toy(seed=seed).train(GroupCredit())
    assert at_the_end(history, "filler") < at_the_start(history, "filler") / 2
    assert at_the_end(history, "outcome") > 0.95
    assert at_the_end(history, "steps_per_response") < 4
    assert not alarm(history)


def test_the_same_seed_gives_the_same_training() -> None:
    toy = Toy(num_updates=5)
    assert toy.train(GroupCredit()) == toy.train(GroupCredit())
    assert toy.train(GroupCredit()) != Toy(num_updates=5, seed=1).train(GroupCredit())
