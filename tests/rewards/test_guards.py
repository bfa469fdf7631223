"""Telemetry, the alarm and the limit of failures."""

from __future__ import annotations

import math

import numpy as np
import pytest

from prm_search.errors import ConfigurationError, ScoringError
from prm_search.rewards import Reward, read_completion, step_spans
from prm_search.rewards.guards import (
    HackAlarm,
    measure,
    repeated_steps,
    repetition,
    require_rewards,
)
from prm_search.types import Failure, Problem, Step, StepScores, StopReason, Trajectory
from tests.rewards.groups import BROKEN, reward

TIMES = np.arange(150)


def rollout(*steps: str, problem: str = "p", is_truncated: bool = False) -> Trajectory:
    return read_completion(
        Problem(id=problem, prompt="?"), "\n".join(steps), separator="\n", is_truncated=is_truncated
    )


def rewarded(trajectory: Trajectory, scores: list[float], outcome: float | Failure) -> Reward:
    values = StepScores(values=tuple(scores))
    return Reward(spans=step_spans(trajectory), scores=values, outcome=outcome)


def logistic(middle: float, width: float) -> np.ndarray:
    return 1 / (1 + np.exp(-(TIMES - middle) / width))


def noisy(curve: np.ndarray, seed: int, std: float) -> list[float]:
    return (curve + np.random.default_rng(seed).normal(0, std, len(curve))).tolist()


def test_repetition_is_the_share_of_phrases_said_before() -> None:
    assert repetition("one two three four five") == 0.0
    assert repetition("a b c d a b c d") == pytest.approx(1 / 5)
    assert repetition("too short") == repetition("") == 0.0
    assert repetition("word " * 103) == pytest.approx(0.99)


def test_repeated_steps_are_those_with_the_same_words() -> None:
    assert repeated_steps(["So 1.\n\n", "So  1.", "So 2."]) == pytest.approx(1 / 3)
    assert repeated_steps([]) == 0.0


def test_metrics_of_a_step() -> None:
    rollouts = [
        rollout("a", "b", "c", problem="p"),
        rollout("a", problem="p", is_truncated=True),
        rollout("", problem="q"),
        rollout("a", "a", problem="q"),
    ]
    rewards = [
        rewarded(rollouts[0], [0.9, 0.8, 1.0], 1.0),
        rewarded(rollouts[1], [0.2], 0.0),
        rewarded(rollouts[2], [], 0.0),
        reward(BROKEN, BROKEN, num_steps=2),
    ]
    metrics = measure(rollouts, rewards)
    assert metrics.pop("correlation") == pytest.approx(1.0)
    assert metrics.pop("correlation_in_group") == pytest.approx(1.0)
    assert metrics == pytest.approx(
        {
            "num_rollouts": 4,
            "steps_per_response": 1.5,
            "truncated": 0.25,
            "empty": 0.25,
            "repetition": 0.0,
            "repeated_steps": 0.125,
            "prm_mean": 0.55,
            "prm_min": 0.5,
            "outcome": 1 / 3,
            "score_failures": 0.25,
            "outcome_failures": 0.25,
            "uniform_outcomes": 0.5,
        }
    )


def test_tokens_are_counted_where_they_are_known() -> None:
    steps = (
        Step(text="a\n", token_ids=(1, 2, 3)),
        Step(text="b", token_ids=(4,), stop_reason=StopReason.END),
    )
    trajectory = Trajectory(problem=Problem(id="p", prompt="?"), steps=steps)
    metrics = measure([trajectory], [rewarded(trajectory, [0.5, 0.5], 1.0)])
    assert metrics["tokens_per_step"] == 2
    assert metrics["tokens_per_response"] == 4


def test_what_is_not_defined_is_left_out() -> None:
    metrics = measure([rollout("a")], [reward(BROKEN, BROKEN, num_steps=1)])
    absent = {"prm_mean", "prm_min", "outcome", "correlation", "tokens_per_step"}
    assert not absent & metrics.keys()
    assert metrics["score_failures"] == metrics["outcome_failures"] == 1.0
    assert all(map(math.isfinite, metrics.values()))


def test_easy_problems_do_not_make_a_prm_look_good() -> None:
    # The PRM knows which problem is easy, and within a problem it is wrong.
    rollouts = [rollout("a", problem=name) for name in ("easy",) * 4 + ("hard",) * 4]
    scores = [0.8, 0.8, 0.8, 0.9, 0.2, 0.1, 0.1, 0.1]
    outcomes = [1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0]
    rewards = [
        rewarded(one, [score], outcome)
        for one, score, outcome in zip(rollouts, scores, outcomes, strict=True)
    ]
    metrics = measure(rollouts, rewards)
    assert metrics["correlation"] > 0.3
    assert metrics["correlation_in_group"] < -0.3


@pytest.mark.parametrize("seed", range(10))
def test_the_alarm_goes_off_soon_after_the_curves_part(seed: int) -> None:
    prm = noisy(0.6 + 0.3 * logistic(60, 10), seed, 0.02)
    outcome = noisy(0.4 + 0.2 * logistic(10, 5) - 0.5 * logistic(70, 10), seed + 100, 0.05)
    hacking = HackAlarm().first(prm, outcome)
    assert hacking is not None
    # The outcome stands at its best around update 35 and is half lost at 70.
    assert 40 <= hacking.update <= 75
    assert 20 <= hacking.onset <= 60
    assert hacking.prm_rise > 0.02
    assert hacking.outcome_fall > 0.1


@pytest.mark.parametrize(
    ("prm", "outcome"),
    [
        (0 * TIMES + 0.7, 0 * TIMES + 0.5),
        (0.9 - 0.4 * np.exp(-TIMES / 40), 0.8 - 0.5 * np.exp(-TIMES / 40)),
        (0.8 - 0.3 * logistic(60, 10), 0.6 - 0.5 * logistic(60, 10)),
        (0.8 - 0.3 * logistic(60, 10), 0.3 + 0.5 * logistic(60, 10)),
        (0.6 + 0.3 * logistic(60, 10), 0 * TIMES + 0.5),
    ],
    ids=["nothing happens", "both rise", "both fall", "only the outcome rises", "only the PRM"],
)
def test_the_alarm_keeps_still_otherwise(prm: np.ndarray, outcome: np.ndarray) -> None:
    for seed in range(10):
        curves = noisy(prm, seed, 0.02), noisy(outcome, seed + 100, 0.05)
        assert HackAlarm().first(*curves) is None


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("middle", [8, 60])
def test_the_alarm_hears_a_sudden_collapse(middle: int, seed: int) -> None:
    prm = noisy(0.6 + 0.3 * logistic(middle, 2), seed, 0.02)
    outcome = noisy(0.6 - 0.6 * logistic(middle, 2), seed + 100, 0.05)
    hacking = HackAlarm().first(prm, outcome)
    assert hacking is not None
    assert middle - 4 <= hacking.update <= middle + 20


def test_the_alarm_hears_curves_without_noise_and_needs_ten_updates() -> None:
    prm = [0.1 + 0.05 * update for update in range(10)]
    outcome = [0.9 - 0.05 * update for update in range(10)]
    hacking = HackAlarm().check(prm, outcome)
    assert hacking is not None
    assert (hacking.update, hacking.onset) == (9, 0)
    assert hacking.prm_rise == pytest.approx(0.45)
    assert hacking.outcome_fall == pytest.approx(0.45)
    assert HackAlarm().check(prm[1:], outcome[1:]) is None
    assert HackAlarm().check([0.5] * 10, outcome) is None
    with pytest.raises(ValueError, match="10 PRM scores for 9"):
        HackAlarm().check(prm, outcome[1:])


def test_impossible_alarms_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="window"):
        HackAlarm(window=9)
    for name in ("min_z", "min_rise", "min_fall"):
        with pytest.raises(ConfigurationError, match=name):
            HackAlarm(**{name: math.nan})  # pyright: ignore[reportArgumentType]


def test_too_many_failures_stop_the_training_and_say_why() -> None:
    rewards = [reward([0.5], 1.0), reward(BROKEN, 1.0, num_steps=1)]
    require_rewards(rewards, max_failure_share=0.5)
    with pytest.raises(ScoringError, match=r"1 of 2 .* EngineError: it broke"):
        require_rewards(rewards, max_failure_share=0.4)
    require_rewards([], max_failure_share=0.0)
