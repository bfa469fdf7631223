"""What labeling costs in rollouts, simulated on responses whose first error is known.

The completer is idealised: it agrees with the given first errors. A completion of a prefix
without an error succeeds with a fixed probability, any other fails. The judge is idealised too:
it is always right, so that consensus keeps every response, which is what costs most. The steps
are visited by the code that labels.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from prm_search.labeling.first_error import (
    Check,
    bisect,
    deciding_checks,
    scan_backward,
    scan_forward,
    search_binary,
)
from prm_search.labeling.tally import StepState, Tally, stops


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownResponse:
    """How long a response is, and where its first error is."""

    num_steps: int
    first_error: int | None
    """0-based index; None if every step is right."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CostSimulation:
    """Rollouts per response of each way to label."""

    num_rollouts: int = 8
    """Completions of each prefix, at most."""
    success_rate: float = 0.7
    """Probability that a completion of a prefix without an error succeeds."""
    waves: list[int] = field(default_factory=lambda: [1])
    """How many rollouts of a step are drawn before looking whether it is decided."""
    last_step_is_free: bool = False
    """Whether the last step is checked by the response's own answer, as the annotators do. If
    not, it costs rollouts like any other step."""

    async def run(self, responses: Sequence[KnownResponse], *, seed: int = 0) -> dict[str, float]:
        """Rollouts per response, by method.

        Args:
            responses: at least one.
            seed: draws the outcomes.
        """
        return {name: await self._mean(label, responses, seed) for name, label in METHODS.items()}

    async def _mean(
        self,
        label: Callable[[_Steps], Awaitable[object]],
        responses: Sequence[KnownResponse],
        seed: int,
    ) -> float:
        rng = random.Random(seed)
        num_drawn = 0
        for response in responses:
            steps = _Steps(response=response, costs=self, rng=rng)
            await label(steps)
            num_drawn += steps.num_drawn
        return num_drawn / len(responses)


@dataclass(kw_only=True, slots=True)
class _Steps:
    """The steps of one response, and how many rollouts their checks took."""

    response: KnownResponse
    costs: CostSimulation
    rng: random.Random
    num_drawn: int = 0

    @property
    def num_steps(self) -> int:
        return self.response.num_steps

    async def lazily(self, step: int) -> bool:
        return self._check(step, self.costs.waves)

    async def fully(self, step: int) -> bool:
        return self._check(step, [self.costs.num_rollouts])

    def _check(self, step: int, waves: Sequence[int]) -> bool:
        error = self.response.first_error
        is_sound = error is None or step < error
        if self.costs.last_step_is_free and step == self.num_steps - 1:
            return is_sound
        num_successes = num_drawn = 0
        state = StepState.OPEN
        for count in stops(waves, self.costs.num_rollouts):
            if is_sound:
                rate = self.costs.success_rate
                num_successes += sum(self.rng.random() < rate for _ in range(count - num_drawn))
            num_drawn = count
            tally = Tally(num_successes=num_successes, num_failures=num_drawn - num_successes)
            state = tally.state(num_rollouts=self.costs.num_rollouts, threshold=0.0)
            if state is not StepState.OPEN:
                break
        self.num_drawn += num_drawn
        return state is StepState.RIGHT


async def _exhaustive(steps: _Steps) -> None:
    for step in range(steps.num_steps):
        await steps.fully(step)


async def _binary_search(check: Check, steps: _Steps) -> None:
    if steps.costs.last_step_is_free:
        await search_binary(check, steps.num_steps)
    else:
        await bisect(check, 0, steps.num_steps)


async def _consensus(steps: _Steps) -> None:
    for step, has_to_be_right in deciding_checks(steps.response.first_error, steps.num_steps):
        if await steps.lazily(step) is not has_to_be_right:
            return


METHODS: Mapping[str, Callable[[_Steps], Awaitable[object]]] = {
    "exhaustive": _exhaustive,
    "stop_at_first_error": lambda steps: scan_forward(steps.fully, steps.num_steps),
    "lazy": lambda steps: scan_forward(steps.lazily, steps.num_steps),
    "binary_search": lambda steps: _binary_search(steps.lazily, steps),
    "binary_search_all_rollouts": lambda steps: _binary_search(steps.fully, steps),
    "witness_sharing": lambda steps: search_binary(steps.lazily, steps.num_steps),
    "witness_sharing_backward": lambda steps: scan_backward(steps.lazily, steps.num_steps),
    "consensus": _consensus,
}
"""Ways to label, as in the annotators."""
