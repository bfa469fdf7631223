from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prm_search.errors import ConfigurationError, ScoringError
from prm_search.plugins.token_rewards import token_rewards
from prm_search.rewards import Reward
from prm_search.rewards.credit import GroupCredit, Minimum, ProcessGRPO, ReturnRule, SoftMinimum
from prm_search.types import Failure, StepScores

SCORES = st.lists(st.floats(0, 1), min_size=1, max_size=8)


def reward(scores: list[float], outcome: float = 1.0) -> Reward:
    return Reward(
        spans=tuple((10 * step, 10 * step + 10) for step in range(len(scores))),
        scores=StepScores(values=tuple(scores)),
        outcome=outcome,
    )


@given(scores=SCORES, size=st.integers(1, 4), rule=st.sampled_from([Minimum(), SoftMinimum()]))
def test_summed_from_a_token_on_they_are_the_return_of_its_step(
    scores: list[float], size: int, rule: ReturnRule
) -> None:
    offsets = [
        (10 * step + part, 10 * step + part + 1)
        for step in range(len(scores))
        for part in range(size)
    ]
    rewards = token_rewards(reward(scores), offsets, credit=GroupCredit(process=rule))
    to_go = np.cumsum(rewards[::-1])[::-1]
    expected = np.repeat(rule.returns(np.array(scores)), size) + 1.0
    assert to_go == pytest.approx(expected)


def test_only_last_tokens_of_steps_are_rewarded() -> None:
    offsets = [(0, 5), (5, 10), (10, 20), (20, 25), (25, 30)]
    rewards = token_rewards(reward([0.2, 0.9, 0.8]), offsets)
    assert rewards == pytest.approx([0, 0.2 - 0.8, 0, 0, 1.8])


def test_without_steps_or_process_the_last_token_has_it_all() -> None:
    empty = Reward(spans=(), scores=StepScores(values=()), outcome=0.0)
    assert token_rewards(empty, [(0, 0)]) == [0.0]
    assert token_rewards(empty, []) == []
    alone = GroupCredit(process=None)
    assert token_rewards(reward([0.5]), [(0, 5), (5, 10)], credit=alone) == [0.0, 1.0]


def test_failures_and_rules_that_compare_are_refused() -> None:
    failed = Reward(spans=((0, 3),), scores=Failure(kind="EngineError", message="died"), outcome=1)
    with pytest.raises(ScoringError, match="died"):
        token_rewards(failed, [(0, 3)])
    with pytest.raises(ConfigurationError, match="ProcessGRPO"):
        token_rewards(reward([0.5]), [(0, 3)], credit=GroupCredit(process=ProcessGRPO()))
