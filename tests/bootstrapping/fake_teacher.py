"""A teacher made by hand, and labeled problems that it knows the truth about."""

from __future__ import annotations

import random

from prm_search.data.stepwise import StepwiseRow
from prm_search.errors import ContextLengthError, EngineError
from prm_search.protocols import Until
from prm_search.seeds import derive_seed
from prm_search.types import Generation, Step, StopReason, Trajectory, Usage


class FakeTeacher:
    """Analyses the last step of a message: one that says 18 is wrong.

    Args:
        accuracy: how often it says the truth; what it writes depends on message and seed alone.
        dies_after: requests after which the engine is dead; None means never.
    """

    def __init__(self, accuracy: float = 1.0, dies_after: int | None = None) -> None:
        self.accuracy = accuracy
        self.dies_after = dies_after
        self.requests: list[str] = []

    async def start(self) -> None:
        """Nothing."""

    async def reset_cache(self) -> None:
        """Nothing."""

    async def close(self) -> None:
        """Nothing."""

    async def generate(
        self,
        prefix: Trajectory,
        *,
        num_samples: int,
        until: Until,
        seed: int,
        temperature: float | None = None,
    ) -> Generation:
        """Write analyses."""
        assert until is Until.END
        message = prefix.problem.prompt
        self.requests.append(message)
        if self.dies_after is not None and len(self.requests) > self.dies_after:
            raise EngineError("the teacher is gone")
        if "too long" in message:
            raise ContextLengthError(9, 8)
        return Generation(
            continuations=tuple(
                (self._write(message, derive_seed(seed, index)),) for index in range(num_samples)
            ),
            usage=Usage(prompt_tokens=10, generated_tokens=5 * num_samples, num_calls=1),
        )

    def _write(self, message: str, seed: int) -> Step:
        rng = random.Random(seed)
        last = message.strip().splitlines()[-1]
        is_right = ("18" not in last) == (rng.random() < self.accuracy)
        text = f"{last} This is look {seed % 1000}. {'Right' if is_right else 'Wrong'}"
        if "unfinished" in message:
            return Step(text=text, stop_reason=StopReason.LENGTH)
        if "chatter" in message:
            text += " or so, I think"
        return Step(text=text, stop_reason=StopReason.END)


def row(number: int, *labels: bool, prompt: str | None = None, mark: str = "") -> StepwiseRow:
    """A solution whose wrong steps say 18."""
    return StepwiseRow(
        prompt=prompt or f"Some friends count shells, {number} in all.{mark} How many has Ann?",
        completions=tuple(
            f"Ann has {19 if label else 18} in {number}, {index}"
            for index, label in enumerate(labels)
        ),
        labels=labels,
    )
