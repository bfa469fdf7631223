"""A problem, the beginning of a solution, and how the engines of the tests run."""

from __future__ import annotations

from actors.transformers_options import TransformersOptions
from prm_search.types import Problem, Step, Trajectory

PROMPT = "Some friends count shells. Ann has 12. Ben gets 7 more than Ann. How many has Ben?"
TEXTS = (
    "Ben: Ann has 12 and 12+7=19, so Ben has 19.\n\n",
    "Cara: Ben has 19 and 19*2=38, so Cara has 38.\n\n",
    "The answer is \\boxed{38}.",
)
CPU = TransformersOptions(device="cpu")
NUM_POSITIONS = 512


def prefix_of(*texts: str, prompt: str = PROMPT, problem_id: str = "p") -> Trajectory:
    return Trajectory(
        problem=Problem(id=problem_id, prompt=prompt),
        steps=tuple(Step(text=text) for text in texts),
    )
