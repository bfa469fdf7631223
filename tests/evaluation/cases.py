"""Cases that the fake PRM and judge understand: a step that says "guess" is wrong."""

from __future__ import annotations

from prm_search.evaluation.case import Case, Truth, written_steps
from prm_search.types import Problem, Trajectory

GUESS = "Take 3 and guess 4."


def cases(num_cases: int) -> list[Case]:
    return [
        Case(
            id=f"c{number}",
            problem=f"p{number}",
            subset="all",
            trajectory=Trajectory(
                problem=Problem(id=f"p{number}", prompt=f"{number} + 1?"),
                steps=written_steps(["Take 1.", GUESS if number % 2 else "Add 2.", "Done."]),
            ),
            truth=Truth(first_error=1 if number % 2 else None),
        )
        for number in range(num_cases)
    ]
