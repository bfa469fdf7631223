"""Witness sharing: a completion vouches for every step before it. This project's own rule.

A completion of a prefix that reaches the right answer begins with every shorter prefix, so it
is a completion of those too: one success is a witness for its step and for all steps before.
A response with a right answer is its own witness: all its steps are right, at no cost. The
labels never rise again after a wrong step.

It differs from the plain rule (`MonteCarlo`) where a prefix fails in all its own rollouts while
a longer one succeeds. The plain rule calls that an error, witness sharing calls it bad luck.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial

from prm_search.budget import Role
from prm_search.labeling.annotation import Annotation, Response
from prm_search.labeling.checks import require_completer, require_waves
from prm_search.labeling.first_error import scan_backward, search_binary
from prm_search.labeling.rollout_labels import is_right, label_by_rollouts
from prm_search.labeling.rollouts import Rollouts
from prm_search.protocols import Generator, Grader, Judge
from prm_search.search.checks import require_positive

SOURCE = "witness_sharing"


class WitnessOrder(StrEnum):
    """How the last step with a witness is looked for."""

    backward = "backward"
    """From the last step on, until a witness is found. Exact."""
    binary_search = "binary_search"
    """By halves."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WitnessSharing:
    """Labels steps right up to the last one that has a witness.

    `backward` finds the last step any of whose rollouts succeeds: what sharing the witnesses of
    an exhaustive set of rollouts gives. `binary_search` is cheaper where the error is early. It
    respects every witness that it finds, so it never puts the first error later than `backward`
    does. It puts it earlier if all rollouts of a step that it visits fail although a longer
    prefix would succeed, because it does not look there any more. The two are equal if, after
    a step without a success of its own, no later one has any. The same holds for rollouts that
    cannot be graded: a response is set aside if a step that is visited has no others.
    """

    num_rollouts: int = 8
    """Completions of each prefix, at most."""
    order: WitnessOrder = WitnessOrder.binary_search
    """How the last step with a witness is looked for."""
    waves: list[int] = field(default_factory=lambda: [1, 1, 1, 1, 2, 2])
    """How many rollouts of a step are drawn side by side before looking for a success; the last
    number is repeated."""

    def __post_init__(self) -> None:
        require_positive("WitnessSharing", num_rollouts=self.num_rollouts)
        require_waves("WitnessSharing", self.waves)

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
        completer = require_completer(completer, "WitnessSharing")
        return await label_by_rollouts(
            response,
            self._find_first_error,
            completer=completer,
            grader=grader,
            seed=seed,
            source=SOURCE,
        )

    async def _find_first_error(self, rollouts: Rollouts) -> int | None:
        check = partial(is_right, rollouts, num_rollouts=self.num_rollouts, waves=self.waves)
        search = scan_backward if self.order is WitnessOrder.backward else search_binary
        return await search(check, rollouts.num_steps)
