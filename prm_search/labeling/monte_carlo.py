"""Monte-Carlo estimation: a step is as good as the completions from it.

Math-Shepherd (arXiv 2312.08935) and "The Lessons of Developing Process Reward Models"
(arXiv 2501.07301, section 2.1): a hard label is 1 if any completion reaches the right answer, a
soft label is the share that does. Steps after the first error are not labeled.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial

from prm_search.budget import Role
from prm_search.concurrency import gather_all
from prm_search.errors import ConfigurationError
from prm_search.labeling.annotation import Annotation, Response
from prm_search.labeling.checks import require_completer, require_waves
from prm_search.labeling.first_error import scan_forward, search_binary
from prm_search.labeling.rollout_labels import is_right, label_by_rollouts
from prm_search.labeling.rollouts import Rollouts
from prm_search.protocols import Generator, Grader, Judge
from prm_search.search.checks import require_positive

SOURCE = "monte_carlo"


class Order(StrEnum):
    """Which rollouts are drawn, and when."""

    exhaustive = "exhaustive"
    """All rollouts of all steps, at once: the plain recipe."""
    stop_at_first_error = "stop_at_first_error"
    """All rollouts of a step, step by step up to the first error."""
    lazy = "lazy"
    """Step by step, in waves, each step until it is decided."""
    binary_search = "binary_search"
    """As lazy, on the steps that a binary search visits."""


class LabelKind(StrEnum):
    """What a label says."""

    hard = "hard"
    """1 if the share of successes is above the threshold, else 0."""
    soft = "soft"
    """The share of successes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MonteCarlo:
    """Labels steps by completing the prefixes that end in them.

    `exhaustive`, `stop_at_first_error` and `lazy` give the same labels, because rollout j of
    step i is the same one in all of them. `binary_search` gives the same only where no step
    after a wrong one is right: it takes a right answer for the proof of every step.

    The last step is right if the response's answer is; it costs no rollout.
    """

    num_rollouts: int = 8
    """Completions of each prefix, at most."""
    labels: LabelKind = LabelKind.hard
    """Soft labels need every rollout of a step: order=exhaustive or stop_at_first_error."""
    threshold: float = 0.0
    """A step is right if its share of successes is above it, in [0, 1). The first step that is
    not is the first error, with soft labels too."""
    order: Order = Order.lazy
    """Which rollouts are drawn."""
    waves: list[int] = field(default_factory=lambda: [1, 1, 1, 1, 2, 2])
    """How many rollouts of a step are drawn side by side before looking whether it is decided;
    the last number is repeated. Of use to order=lazy and binary_search."""

    def __post_init__(self) -> None:
        require_positive("MonteCarlo", num_rollouts=self.num_rollouts)
        require_waves("MonteCarlo", self.waves)
        if not 0 <= self.threshold < 1:
            raise ConfigurationError(
                f"MonteCarlo: threshold must be in [0, 1), not {self.threshold}"
            )
        if self.labels is LabelKind.soft and self.order in (Order.lazy, Order.binary_search):
            raise ConfigurationError(
                f"MonteCarlo: labels=soft needs every rollout of a step, which order={self.order} "
                "does not draw; use order=stop_at_first_error"
            )

    @property
    def needs(self) -> frozenset[Role]:
        """A completer."""
        return frozenset({Role.POLICY})

    async def __call__(
        self,
        response: Response,
        *,
        completer: Generator | None,
        judge: Judge | None,
        grader: Grader,
        seed: int,
    ) -> Annotation:
        """Label the steps of a response; see `prm_search.labeling.annotation.Annotator`."""
        completer = require_completer(completer, "MonteCarlo")
        return await label_by_rollouts(
            response,
            self._find_first_error,
            completer=completer,
            grader=grader,
            seed=seed,
            source=SOURCE,
            is_soft=self.labels is LabelKind.soft,
        )

    async def is_right(self, rollouts: Rollouts, step: int) -> bool:
        """Whether a step is right; draws no more of its rollouts than the order needs.

        Raises:
            EngineError: if the completer failed.
            Rejection: if no rollout of the step can be graded.
        """
        is_lazy = self.order in (Order.lazy, Order.binary_search)
        return await is_right(
            rollouts,
            step,
            num_rollouts=self.num_rollouts,
            waves=self.waves if is_lazy else [self.num_rollouts],
            threshold=self.threshold,
        )

    async def _find_first_error(self, rollouts: Rollouts) -> int | None:
        check = partial(self.is_right, rollouts)
        if self.order is Order.binary_search:
            return await search_binary(check, rollouts.num_steps)
        if self.order is Order.exhaustive:
            await gather_all(
                rollouts.draw(step, self.num_rollouts) for step in range(rollouts.num_steps)
            )
        return await scan_forward(check, rollouts.num_steps)
