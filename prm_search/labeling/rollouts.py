"""Monte-Carlo rollouts: completions of the prefixes of one response.

Rollout j of step i completes the steps 0 … i. Its seed depends on (seed, response, i, j) alone
and it is drawn at most once, so whoever asks for it, and in whatever order, sees the same one.

The last step of a response needs no rollout: the response itself is its only sample.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from prm_search.budget import Ledger, Role
from prm_search.concurrency import gather_all
from prm_search.errors import ContextLengthError, EngineError, GradingError
from prm_search.labeling.annotation import Response
from prm_search.labeling.rejection import reference_answer, require_finished
from prm_search.labeling.tally import Tally
from prm_search.protocols import Generator, Grader, Until
from prm_search.seeds import derive_seed
from prm_search.types import Step, StopReason, Usage


class Outcome(StrEnum):
    """How a rollout ended."""

    RIGHT = "right"
    """In the reference answer: the only success."""
    WRONG = "wrong"
    NO_ANSWER = "no_answer"
    CUT_OFF = "cut_off"
    """By the token limit; no success, whatever stands there."""
    UNGRADABLE = "ungradable"
    """Neither success nor failure."""
    NO_ROOM = "no_room"
    """The prefix does not fit into the completer's context: nothing was drawn."""


_FAILURES = frozenset({Outcome.WRONG, Outcome.NO_ANSWER, Outcome.CUT_OFF})


@dataclass(frozen=True, kw_only=True, slots=True)
class Rollout:
    """One completion of a prefix."""

    text: str
    """What was added to the prefix."""
    answer: str | None
    """The answer that prefix and completion end in."""
    outcome: Outcome
    usage: Usage = field(default_factory=Usage)


class Rollouts:
    """The rollouts of one response, as far as they were asked for."""

    def __init__(
        self, response: Response, *, completer: Generator, grader: Grader, seed: int
    ) -> None:
        """Nothing is drawn yet.

        Raises:
            Rejection: if the response did not end by itself or its problem has no reference
                answer.
        """
        require_finished(response)
        self._reference = reference_answer(response)
        self.num_steps = len(response.trajectory.steps)
        self._response = response
        self._completer = completer
        self._grader = grader
        self._seed = seed
        self._num_gradings = 0
        self._drawn: dict[tuple[int, int], Rollout] = {}

    async def draw(self, step: int, num_rollouts: int) -> Tally:
        """See to it that the first rollouts of a step are drawn.

        Returns:
            The outcomes of all rollouts of the step that were ever drawn.

        Raises:
            EngineError: if the completer failed.
        """
        if step == self.num_steps - 1:
            num_rollouts = 1
        missing = [(step, i) for i in range(num_rollouts) if (step, i) not in self._drawn]
        drawn = await gather_all(self._draw(*place) for place in missing)
        self._drawn.update(zip(missing, drawn, strict=True))
        return self.tally(step)

    def tally(self, step: int) -> Tally:
        """The outcomes of all rollouts of a step so far; of the last step, the response's own."""
        outcomes = [rollout.outcome for rollout in self.of(step)]
        num_successes = outcomes.count(Outcome.RIGHT)
        num_failures = sum(outcome in _FAILURES for outcome in outcomes)
        return Tally(
            num_successes=num_successes,
            num_failures=num_failures,
            num_undecided=len(outcomes) - num_successes - num_failures,
        )

    def of(self, step: int) -> Sequence[Rollout]:
        """All rollouts of a step so far."""
        return [self._drawn[place] for place in sorted(self._drawn) if place[0] == step]

    @property
    def num_drawn(self) -> list[int]:
        """How many rollouts each step has cost. [num_steps], the last one 0."""
        counts = Counter(step for step, _ in self._paid)
        return [counts[step] for step in range(self.num_steps)]

    @property
    def ledger(self) -> Ledger:
        """What all rollouts so far have cost."""
        ledger = Ledger()
        for rollout in self._paid.values():
            ledger = ledger.charge(Role.POLICY, rollout.usage, num_generations=1)
        if self._num_gradings:
            ledger = ledger.charge(Role.GRADER, Usage(num_calls=self._num_gradings))
        return ledger

    def summary(self) -> dict[str, object]:
        """The rollouts so far, as plain values."""
        last = self.num_steps - 1
        outcomes = Counter(
            rollout.outcome.value for (step, _), rollout in self._drawn.items() if step < last
        )
        own = self.of(last)
        return {
            "num_rollouts": self.num_drawn,
            "num_successes": [*(self.tally(step).num_successes for step in range(last)), 0],
            "outcomes": dict(sorted(outcomes.items())),
            "answer": own[0].outcome.value if own else None,
        }

    @property
    def _paid(self) -> dict[tuple[int, int], Rollout]:
        return {
            place: self._drawn[place]
            for place in sorted(self._drawn)
            if place[0] < self.num_steps - 1 and self._drawn[place].outcome is not Outcome.NO_ROOM
        }

    async def _draw(self, step: int, index: int) -> Rollout:
        trajectory = self._response.trajectory
        if step == self.num_steps - 1:
            return await self._grade(trajectory.text, (), Usage())
        prefix = replace(trajectory, steps=trajectory.steps[: step + 1])
        try:
            generation = await self._completer.generate(
                prefix,
                num_samples=1,
                until=Until.END,
                seed=derive_seed(self._seed, "rollout", self._response.id, step, index),
            )
        except ContextLengthError:
            return Rollout(text="", answer=None, outcome=Outcome.NO_ROOM)
        if len(generation.continuations) != 1:
            raise EngineError(
                f"the completer was asked for one continuation of response {self._response.id!r} "
                f"and returned {len(generation.continuations)}"
            )
        return await self._grade(prefix.text, generation.continuations[0], generation.usage)

    async def _grade(self, prefix: str, steps: Sequence[Step], usage: Usage) -> Rollout:
        text = "".join(step.text for step in steps)
        answer = self._grader.extract(prefix + text)
        if steps and steps[-1].stop_reason is StopReason.LENGTH:
            outcome = Outcome.CUT_OFF
        elif answer is None:
            outcome = Outcome.NO_ANSWER
        else:
            self._num_gradings += 1
            try:
                is_right = await self._grader.equivalent(answer, self._reference)
                outcome = Outcome.RIGHT if is_right else Outcome.WRONG
            except GradingError:
                outcome = Outcome.UNGRADABLE
        return Rollout(text=text, answer=answer, outcome=outcome, usage=usage)
