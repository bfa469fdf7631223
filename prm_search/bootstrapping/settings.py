"""The settings of what an R-PRM learns from: analyses of labeled steps, and pairs of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from prm_search.model_settings import require


class Stage(StrEnum):
    """The parts of a training, in this order. Each goes on from what the one before has left."""

    analyses = "analyses"
    """A stronger model writes analyses of labeled steps."""
    sft = "sft"
    """The model learns those that agree with the labels."""
    pairs = "pairs"
    """The trained model writes analyses itself; some agree with the labels, others do not."""
    dpo = "dpo"
    """The model learns to prefer those that agree."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bootstrap:
    """Which steps are analysed, and what becomes of the analyses.

    Source: R-PRM (arXiv 2503.21295), section 3.1 and the authors' code.
    """

    num_analyses: int = 4
    """Analyses that are asked for, per step. Of those that agree with the label the first is
    learned."""
    right_steps_per_wrong: float | None = 1.0
    """How many right steps are taken for each wrong one; null takes all labeled steps. As many
    right as wrong steps are learned in the end, so more are only of use where the analyses of
    right steps often disagree."""
    max_steps: int | None = None
    """Take at most so many of these steps, drawn at random."""
    validation_share: float = 0.05
    """Share in [0, 1) of the problems whose steps are not learned but measured on."""

    def __post_init__(self) -> None:
        count = self.num_analyses
        require(count >= 1, "bootstrap.num_analyses", count, "must be at least 1")
        ratio = self.right_steps_per_wrong
        require(
            ratio is None or ratio > 0, "bootstrap.right_steps_per_wrong", ratio, "must be above 0"
        )
        most = self.max_steps
        require(most is None or most >= 2, "bootstrap.max_steps", most, "must be at least 2")
        share = self.validation_share
        require(
            0 <= share < 1, "bootstrap.validation_share", share, "must be at least 0 and below 1"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Preferences:
    """How pairs are made: an analysis that agrees with the label before one that does not.

    Source: R-PRM (arXiv 2503.21295), section 3.2 and the authors' code.
    """

    num_analyses: int = 4
    """Analyses that the trained model writes, per step."""
    max_steps: int | None = None
    """Take at most so many of the steps that the teacher has analysed, drawn at random."""
    min_agreement: float = 0.0
    """Share in [0, 1) of a step's analyses that must be exceeded by those that agree with the
    label, or the step is left out. The authors' code knows 1/3."""
    max_pairs_per_step: int = 2
    """Further pairs of a step are left out."""
    is_balanced: bool = True
    """Whether as many pairs are learned of right as of wrong steps."""

    def __post_init__(self) -> None:
        count = self.num_analyses
        require(
            count >= 2, "preferences.num_analyses", count, "must be at least 2, to make a pair of"
        )
        most = self.max_steps
        require(most is None or most >= 2, "preferences.max_steps", most, "must be at least 2")
        share = self.min_agreement
        require(
            0 <= share < 1, "preferences.min_agreement", share, "must be at least 0 and below 1"
        )
        pairs = self.max_pairs_per_step
        require(pairs >= 1, "preferences.max_pairs_per_step", pairs, "must be at least 1")
