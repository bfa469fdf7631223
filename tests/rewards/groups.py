"""Rewards written down by hand, and drawn by Hypothesis."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from prm_search.rewards import Reward
from prm_search.rewards.credit import (
    Clip,
    Delta,
    GroupCredit,
    Last,
    Mean,
    Minimum,
    OutcomeCentering,
    ProcessGRPO,
    Product,
    Progress,
    Rule,
    SoftMinimum,
    Sum,
)
from prm_search.types import Failure, StepScores

RULES: dict[str, Rule] = {
    "last": Last(),
    "mean": Mean(),
    "product": Product(),
    "min": Minimum(),
    "pure": SoftMinimum(),
    "sum": Sum(allow_hacking=True),
    "discounted": Sum(allow_hacking=True, discount=0.9),
    "clip": Clip(),
    "delta": Delta(),
    "clip and delta": Delta(threshold=0.5),
    "process_grpo": ProcessGRPO(),
    "pav": Progress(),
    "progrs": OutcomeCentering(),
    "progrs, both": OutcomeCentering(center_right=True),
}
CREDITS = {
    "outcome": GroupCredit(process=None),
    **{name: GroupCredit(process=rule) for name, rule in RULES.items()},
    **{
        f"{name} alone": GroupCredit(process=rule, outcome_weight=0) for name, rule in RULES.items()
    },
}
BROKEN = Failure(kind="EngineError", message="it broke")


def reward(
    scores: Sequence[float] | Failure | None = None,
    outcome: float | Failure | None = None,
    *,
    num_steps: int = 0,
    width: int = 10,
) -> Reward:
    """A reward of steps that are all equally wide."""
    values = scores if scores is None or isinstance(scores, Failure) else None
    if isinstance(scores, Sequence):
        num_steps = len(scores)
        values = StepScores(values=tuple(scores))
    spans = tuple((step * width, (step + 1) * width) for step in range(num_steps))
    return Reward(spans=spans, scores=values, outcome=outcome)


def score_lists(min_size: int = 1, max_size: int = 6) -> st.SearchStrategy[list[float]]:
    """Scores of one rollout, with the edges and ties that floats seldom hit."""
    score = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]) | st.floats(0, 1)
    return st.lists(score, min_size=min_size, max_size=max_size)


def rewards() -> st.SearchStrategy[Reward]:
    """Complete ones, empty ones, and ones in which something failed."""
    outcome = st.sampled_from([0.0, 1.0])
    return st.one_of(
        st.builds(reward, score_lists(), outcome),
        st.builds(reward, score_lists(), outcome),
        st.builds(reward, st.just(()), st.just(0.0)),
        st.builds(reward, score_lists(), st.just(BROKEN)),
        st.builds(reward, st.just(BROKEN), outcome | st.just(BROKEN), num_steps=st.integers(1, 5)),
    )


def groups() -> st.SearchStrategy[list[Reward]]:
    """Rewards of one problem."""
    return st.lists(rewards(), min_size=1, max_size=6)
