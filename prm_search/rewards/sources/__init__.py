"""Where rewards come from: a PRM, a judge, a verifier, and combinations."""

from __future__ import annotations

from prm_search.rewards.sources.answer import AnswerSource
from prm_search.rewards.sources.combination import Blend, Combination
from prm_search.rewards.sources.judge import JudgeSource
from prm_search.rewards.sources.prm import PrmSource

__all__ = ["AnswerSource", "Blend", "Combination", "JudgeSource", "PrmSource"]
